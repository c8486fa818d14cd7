"""Strict accounting: every tensor of a folder, read from the headers, against those of the model that it describes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.overrides import TorchFunctionMode

from lavida.checkpoint.files import (
    CONFIG,
    INDEX,
    PICKLES,
    PROJECTOR,
    STANDINS,
    TOWER_CONFIG,
    WEIGHTS,
    load_projector,
    open_weights,
    read_json,
)
from lavida.checkpoint.hub import find_checkpoint
from lavida.checkpoint.layouts import OURS, SIGLIP, Layout, recognise
from lavida.checkpoint.official import read_official
from lavida.config import VLMConfig
from lavida.errors import CheckpointError
from lavida.model.vlm import VLM

BORROWS = "borrows"  # in our config.json: the folder, seen from this one, of a model with the same frozen weights
# Floating types by their name in a header; the 8-bit ones are stored only, nothing computes in them.
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "BF16": 16, "F16": 16, "I16": 16, "U16": 16}
_SCALES = re.compile(r"(scale|scale_inv|SCB|qweight|qzeros|absmax|quant_map|zero_point|quant_state\..*)$")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Describe one tensor on disk."""

    path: Path
    name: str  # in its file
    shape: tuple[int, ...]
    dtype: str  # as safetensors writes it: BF16, F32, ...

    @property
    def count(self) -> int:
        """Return the number of elements."""
        return prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Return the size in bytes."""
        return self.count * _BITS.get(self.dtype, 8) // 8


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Hold everything that lies in a folder, each tensor in exactly one of `tensors`, `unused` and `unexpected`."""

    folder: Path
    layout: Layout
    data: dict[str, Any]  # config.json, without BORROWS
    tower: dict[str, Any] | None  # configuration of the vision tower, if a file holds one
    standins: dict[str, Any]  # fields of config.json that a file of their own holds
    tensors: dict[str, Stored]  # by our names
    unused: tuple[Stored, ...]  # known, and not part of the model
    unexpected: tuple[Stored, ...]  # that no rule knows

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor by our names."""
        return {name: stored.shape for name, stored in self.tensors.items()}


@dataclass(frozen=True, kw_only=True)
class Match:
    """Sort the model's tensors into `matched`, `missing` and `misshapen`, and list what else the folder holds."""

    matched: dict[str, Stored]  # by our names
    missing: dict[str, tuple[int, ...]]
    misshapen: dict[str, tuple[Stored, tuple[int, ...]]]  # what there is, and the shape that config.json asks for
    unreadable: dict[str, Stored]  # in a type that cannot be computed with, such as packed integers
    unexpected: tuple[Stored, ...]
    unused: tuple[Stored, ...]  # that the family's files hold and no code reads
    idle: dict[str, Stored]  # by our names: what a model of other options would read

    def require(self, contents: Contents) -> None:
        """Raise CheckpointError unless everything fits."""
        folder, strange = contents.folder, sorted(s.name for s in self.unexpected)
        packed = [name for name in strange if _SCALES.search(name)] + [s.name for s in self.unreadable.values()]
        if packed:
            raise CheckpointError(
                f"{folder} holds quantized weights ({packed[0]}), which are not read; take the checkpoint in bfloat16 "
                "and load it with quantize='int8'"
            )
        for what, names in (("lacks", sorted(self.missing)), ("has unexpected", strange)):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                raise CheckpointError(
                    f"{folder} {what} tensors: {', '.join(names[:3])}{more}; config.json may not be its own"
                )
        for name, (stored, shape) in self.misshapen.items():
            raise CheckpointError(
                f"{folder}: {name} has shape {stored.shape} and config.json asks for {shape}; "
                "they do not belong together"
            )


def survey(folder: str | Path) -> Contents:
    """Account for every tensor of a folder; no tensor is loaded and no code is run.

    Raises:
        CheckpointError: Something is missing, broken or ambiguous.
    """
    folder = Path(folder)
    data = read_json(folder / CONFIG)
    stored = [*_weights(folder), *_projector(folder)]
    layout = recognise(s.name for s in stored)
    tensors: dict[str, Stored] = {}
    unused, unexpected = [], []
    for s in stored:
        name = layout.to_ours(s.name)
        if layout.is_unused(s.name):
            unused.append(s)
        elif name is None:
            unexpected.append(s)
        elif name in tensors:
            other = tensors[name]
            raise CheckpointError(
                f"{folder} holds {s.name} twice ({other.name} in {other.path.name}, {s.name} in {s.path.name}); "
                "remove the one that is not meant"
            )
        else:
            tensors[name] = s
    tower = read_json(folder / TOWER_CONFIG) if (folder / TOWER_CONFIG).exists() else None
    parts = {name.partition(".")[0] for name in tensors}
    if layout is not OURS and "projector" in parts and "tower" not in parts:
        tower, found = _separate_tower(folder, data)
        tensors |= found
    if layout is OURS and (lender := data.pop(BORROWS, None)) is not None:
        tensors |= {name: s for name, s in _borrowed(folder, str(lender)).items() if name not in tensors}
    return Contents(
        folder=folder,
        layout=layout,
        data=data,
        tower=tower,
        standins=read_json(folder / STANDINS) if (folder / STANDINS).exists() else {},
        tensors=tensors,
        unused=tuple(unused),
        unexpected=tuple(unexpected),
    )


def read_config(contents: Contents) -> VLMConfig:
    """Return the model's configuration, from config.json and the tensors.

    Raises:
        CheckpointError: The family is unknown, or config.json does not belong to the tensors.
        ConfigError: A value is out of range.
    """
    data = contents.data
    if contents.layout is not OURS:
        return read_official(contents.standins | data, contents.tower, contents.layout, contents.shapes)
    if data.get("model_type", "lavida") != "lavida":
        raise CheckpointError(
            f"{contents.folder} has tensors of lavida and config.json of {data['model_type']!r:.40}; "
            "they do not belong together"
        )
    return VLMConfig.from_json(data)


def meta_model(config: VLMConfig, names: Iterable[str]) -> VLM:
    """Return the model on the meta device; `names` tell which optional parts of the tower there are."""
    with torch.device("meta"), _Uninitialised():
        model = VLM(config)
        if model.tower is not None:
            take_form: Callable[[set[str]], None] = model.tower.take_form  # type: ignore[assignment]
            take_form({name.removeprefix("tower.") for name in names if name.startswith("tower.")})
    return model


def match(contents: Contents, model: VLM) -> Match:
    """Compare what a folder holds with what the model needs.

    Raises:
        CheckpointError: The head is tied to the embedding and the folder holds another head.
    """
    state = model.state_dict()
    expected = {name: tuple(t.shape) for name, t in state.items()}
    have = contents.tensors
    extra = {name: stored for name, stored in have.items() if name not in expected}
    idle = {name for name in extra if contents.layout is not OURS and _is_idle(name, model.config)}
    if model.config.denoiser.tied_head and _is_copy_of_embedding(contents):
        idle.add("denoiser.unembedding.weight")
    fitting = {name: have[name] for name, shape in expected.items() if name in have and have[name].shape == shape}
    unreadable = {n: s for n, s in fitting.items() if state[n].is_floating_point() and s.dtype not in FLOATS}
    return Match(
        matched=fitting,
        missing={name: shape for name, shape in expected.items() if name not in have},
        misshapen={n: (have[n], shape) for n, shape in expected.items() if n in have and have[n].shape != shape},
        unreadable=unreadable,
        unexpected=(*contents.unexpected, *(stored for name, stored in extra.items() if name not in idle)),
        unused=contents.unused,
        idle={name: extra[name] for name in sorted(idle)},
    )


def _is_copy_of_embedding(contents: Contents) -> bool:
    """Return whether the folder holds a head beside the tie to the embedding; it must be the embedding again."""
    head, embedding = (contents.tensors.get(f"denoiser.{part}.weight") for part in ("unembedding", "embedding"))
    if head is None or embedding is None:
        return False
    pieces = [open_weights(stored.path).get_slice(stored.name) for stored in (head, embedding)]
    rows = max(1, (16 << 20) // max(1, prod(head.shape[1:])))  # some megabytes at a time
    same = head.shape == embedding.shape and all(
        torch.equal(*(piece[start : start + rows] for piece in pieces)) for start in range(0, head.shape[0], rows)
    )
    if not same:
        raise CheckpointError(
            f"{contents.folder} ties the head to the embedding in {CONFIG} and holds another head ({head.name}); "
            "set the tie to false if the head is meant, or remove it"
        )
    return True


def _is_idle(name: str, config: VLMConfig) -> bool:
    """Return whether this is a layer of the tower that is not run, or a newline of a model that ends no row with it."""
    layer = re.match(r"tower\.encoder\.layers\.(\d+)\.", name)
    return config.vision is not None and (name == "newline" or bool(layer and int(layer[1]) >= config.vision.n_layers))


class _Uninitialised(TorchFunctionMode):
    """Leave out the initialisation of new modules: on the meta device it does nothing and imports for a second."""

    _SKIPPED = frozenset(("uniform_", "normal_", "fill_", "zero_", "kaiming_uniform_", "kaiming_normal_"))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self._SKIPPED:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _weights(folder: Path) -> Iterator[Stored]:
    index = _index(folder)
    for file_name in sorted(set(index.values())) if index else (WEIGHTS,):
        path = folder / file_name
        with open_weights(path, "np") as file:
            held = set(file.keys())
            lost = sorted(name for name, where in index.items() if where == file_name and name not in held)
            if lost:
                raise CheckpointError(f"{path} does not hold {lost[0]}, which {INDEX} lists; fetch both")
            for name in sorted(held):
                if index and index.get(name) not in (None, file_name):
                    raise CheckpointError(
                        f"{folder} holds {name} in {file_name} and in {index[name]}; remove the one that is not meant"
                    )
                try:
                    piece = file.get_slice(name)
                    yield Stored(path=path, name=name, shape=tuple(piece.get_shape()), dtype=piece.get_dtype())
                except (SafetensorError, ValueError, OverflowError) as error:
                    raise CheckpointError(f"cannot read {name} in {path} ({error}); fetch the file again") from None


def _index(folder: Path) -> dict[str, str]:
    """Return the file name of each tensor; empty if there is one file only. Raises CheckpointError without weights."""
    if not (folder / INDEX).exists():
        if not (folder / WEIGHTS).exists():
            raise CheckpointError(f"{folder} {_no_weights(folder)}")
        return {}
    index = read_json(folder / INDEX).get("weight_map")
    if not (isinstance(index, dict) and index) or not all(
        isinstance(f, str) and f.isprintable() and Path(f).name == f for f in index.values()
    ):
        raise CheckpointError(f"{folder / INDEX} lists no shards; fetch the file again")
    shards = sorted(set(index.values()))
    if (folder / WEIGHTS).exists() and WEIGHTS not in shards:
        raise CheckpointError(
            f"{folder} holds both {WEIGHTS} and shards ({INDEX}); remove those that are not the model's"
        )
    missing = [shard for shard in shards if not (folder / shard).exists()]
    if missing:
        raise CheckpointError(f"{folder} lacks {len(missing)} of {len(shards)} shards ({missing[0]}); fetch the rest")
    return index


def _no_weights(folder: Path) -> str:
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if PROJECTOR in names:
        return (
            f"holds {PROJECTOR} (stage 1) without its base model; "
            "put the safetensors files of GSAI-ML/LLaDA-8B-Instruct or Dream-org/Dream-v0-Instruct-7B beside it"
        )
    if any(name.endswith(".safetensors") for name in names):
        return f"holds shards, and no {INDEX} that lists what is in them; fetch it"
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles:
        return f"holds pickled weights only ({pickles[0]}), which can execute code; take the safetensors files"
    return f"holds no weights; put {WEIGHTS}, or shards and {INDEX}, there"


def _projector(folder: Path) -> Iterator[Stored]:
    path = folder / PROJECTOR
    if path.exists():
        words = {str(dtype): word for word, dtype in FLOATS.items()}
        for name, tensor in load_projector(path).items():
            dtype = words.get(str(tensor.dtype), str(tensor.dtype).removeprefix("torch."))
            yield Stored(path=path, name=name, shape=tuple(tensor.shape), dtype=dtype)


def _borrowed(folder: Path, lender: str) -> dict[str, Stored]:
    """Return the weights of a pretrained tower that another model holds, without what was finetuned of it there."""
    home = folder / lender
    if not home.is_dir():
        raise CheckpointError(f"{folder} borrows its tower from {home}, which is missing; put that model there")
    held = {s.name: s for s in _weights(home)}
    return {n: s for n, s in held.items() if n.startswith("tower.") and not n.startswith("tower.adapted.")}


def _separate_tower(folder: Path, data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Stored]]:
    """Read the tower that config.json names: a folder in or beside this one, or a hub id."""
    named = str(data.get("mm_vision_tower") or "")
    if not named:
        raise CheckpointError(
            f"{folder} holds a projector and no vision tower; name the tower's folder or hub id "
            f"as mm_vision_tower in {CONFIG}"
        )
    try:
        home = next((p for p in (folder / named, folder.parent / named) if p.is_dir()), None) or find_checkpoint(named)
    except (CheckpointError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder} holds no vision tower and names {named:.100}: {error}") from None
    config = read_json(home / CONFIG)
    config = config.get("vision_config", config)
    if not isinstance(config, dict):
        raise CheckpointError(f"{home / CONFIG} has no vision_config; give the folder of a SigLIP model")
    found = {}
    for s in _weights(home):
        name = SIGLIP.to_ours(s.name.removeprefix("vision_model."))
        if name is not None:  # the text half of SigLIP is not a part of any model here
            found[name] = s
    return config, found
