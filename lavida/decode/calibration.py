"""The calibration of a model: settings tried on it, the quality of their answers, the seconds of a pass here.

Quality belongs to the model and may travel with it; speed belongs to one machine and one way of loading the model.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from lavida.errors import CheckpointError, RequestError
from lavida.model.vlm import VLM
from lavida.nn.offload import Offloaded

FILE = "calibration.json"
_EDGE = 1 << 16  # bytes read at either end of a file of weights to know it again
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Hold one setting and the answers that it gave."""

    options: Mapping[str, Any]  # fields of `DecodeOptions`; `steps` are those of a canvas of `Quality.length`
    quality: float
    tokens: float  # of an answer, the end token included, on average
    passes: float  # forward passes of an answer, on average

    def __post_init__(self) -> None:
        steps = self.options.get("steps")
        if not isinstance(steps, int) or steps < 1:
            raise RequestError(f"a setting of a calibration must name its steps, got {steps!r}; calibrate again")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Hold the quality of a model's answers by setting."""

    measure: str  # what `Trial.quality` is, and on how many pictures; more is better
    length: int  # tokens of the canvas that the settings were tried on
    tried: tuple[Trial, ...]

    def __post_init__(self) -> None:
        if not self.tried or self.length < 1:
            raise RequestError("a calibration holds no setting that was tried; calibrate again")


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Hold the seconds on one machine, of a model loaded in one way."""

    setup: str  # that of `setup_of`
    words: float  # from the question to the first pass, without pictures
    picture: float  # and for each picture besides
    passes: Mapping[str, tuple[float, float]]  # by cache: seconds of a pass, and for each token of the canvas besides

    def predict(self, cache: str, passes: float, length: int, pictures: int) -> float:
        """Return the seconds of an answer. Raises RequestError for a cache that was not measured."""
        if cache not in self.passes:
            raise RequestError(f"passes with the cache {cache!r} were not timed here; run `lavida calibrate`")
        fixed, token = self.passes[cache]
        return self.words + self.picture * pictures + passes * (fixed + token * length)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Hold what was measured of one model."""

    model: str  # that of `fingerprint`
    quality: Quality | None = None
    speeds: tuple[Speed, ...] = ()

    def speed(self, setup: str) -> Speed | None:
        """Return the speed that was measured under this setup."""
        return next((s for s in self.speeds if s.setup == setup), None)

    def timed(self, speed: Speed) -> Calibration:
        """Return a copy with a speed added, or in place of an earlier one of its setup."""
        return replace(self, speeds=(*(s for s in self.speeds if s.setup != speed.setup), speed))

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what `to_json` wrote. Raises RequestError for anything else."""
        try:
            data = json.loads(text)
            quality, speeds = data["quality"], data["speeds"]
            if quality is not None:
                quality = Quality(**{**quality, "tried": tuple(Trial(**row) for row in quality["tried"])})
            for speed in speeds:
                speed["passes"] = {name: tuple(map(float, pair)) for name, pair in speed["passes"].items()}
            return cls(model=data["model"], quality=quality, speeds=tuple(Speed(**speed) for speed in speeds))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RequestError(f"the calibration table is damaged ({error}); run `lavida calibrate` again") from None


def fingerprint(folder: Path) -> str:
    """Return a digest of a model's folder: of its configuration and the edges of its files of weights."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        try:
            with path.open("rb") as file:
                digest.update(f"{path.name} {path.stat().st_size}".encode() + file.read(_EDGE))
                file.seek(max(0, path.stat().st_size - _EDGE))
                digest.update(file.read())
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror}); check the model's folder") from None
    return digest.hexdigest()


def setup_of(net: VLM) -> str:
    """Return what a speed depends on besides the model: machine, threads, type of the weights."""
    where, block = net.denoiser.device, net.denoiser.blocks[0]
    cuda = where.type == "cuda"
    device = torch.cuda.get_device_name(where) if cuda else f"{processor()} x {os.cpu_count()}"
    linear = (block.block if isinstance(block, Offloaded) else block).get_submodule("attn.q")
    held = f"{str(net.denoiser.dtype).removeprefix('torch.')} {type(linear).__name__} in {type(block).__name__}"
    return f"{device}, {where.type}, {torch.get_num_threads()} threads, {held}, torch {torch.__version__}"


@cache
def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def find_calibration(folder: Path) -> Calibration | None:
    """Return the calibration of a model: measured here, else shipped with the model, else None.

    One of other weights does not count. Raises RequestError for one that is damaged.
    """
    known = fingerprint(folder)
    for path in (_in_cache(known), folder / FILE):
        if path.is_file():
            table = Calibration.from_json(path.read_text(encoding="utf-8"))
            if table.model == known:
                return table
    return None


def require_calibration(folder: Path | None, name: str) -> Calibration:
    """Return the calibration of the model called `name`. Raises RequestError if there is none."""
    table = find_calibration(folder) if folder else None
    if table is None:
        raise RequestError(f"{name} has no calibration table; run `lavida calibrate --model {name}`")
    return table


def store_calibration(table: Calibration, folder: Path) -> Path:
    """Write a calibration beside its model, or into the user's cache if that folder is the package's or read-only."""
    if not folder.resolve().is_relative_to(_PACKAGE):
        with suppress(OSError):  # a folder that may only be read
            (folder / FILE).write_text(table.to_json(), encoding="utf-8")
            return folder / FILE
    path = _in_cache(table.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table.to_json(), encoding="utf-8")
    return path


def _in_cache(model: str) -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "lavida" / "calibration" / f"{model}.json"
