"""Files of a checkpoint folder, read and written: JSON, safetensors, the pickled projector; no code is ever run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from lavida.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, TOWER_CONFIG = "config.json", "vision_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
STANDINS = (
    "standins.json"  # ids of a tiny vocabulary in place of those that the official code of MMaDA has as constants
)
PROJECTOR = "mm_projector.bin"  # the trained part of a stage-1 checkpoint, a pickle
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# How files begin that stand in the place of another one, and what the reader should do.
_PLACEHOLDERS = (
    (b"version https://git-lfs", "is a git-lfs pointer and not the file itself; run `git lfs pull` in that folder"),
    (b"<!doctype html", "is a web page and not the file itself; download the file again"),
    (b"<html", "is a web page and not the file itself; download the file again"),
)


def find_placeholder(path: Path) -> str | None:
    """Return a line about a placeholder, such as a git-lfs pointer, and how to mend it; None for a real file."""
    try:
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    except OSError:
        return None
    return next((f"{path} {problem}" for prefix, problem in _PLACEHOLDERS if start.startswith(prefix)), None)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        CheckpointError: The file is missing or broken, or holds something else.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError:
        raise CheckpointError(f"{path.parent} has no readable {path.name}; give the folder of a checkpoint") from None
    except (ValueError, RecursionError) as error:
        reason = find_placeholder(path) or f"{path} is not valid JSON ({error}); fetch the file again"
        raise CheckpointError(reason) from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a JSON object; fetch the file again")
    return data


def open_weights(path: Path, framework: str = "pt") -> Any:
    """Open a safetensors file.

    Raises:
        CheckpointError: The file is missing, cut short or something else.
    """
    try:
        return safe_open(path, framework=framework)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} lacks {path.name}; fetch the file again") from None
    except (OSError, SafetensorError) as error:
        if placeholder := find_placeholder(path):
            raise CheckpointError(placeholder) from None
        if _is_pickle(path):
            raise CheckpointError(
                f"{path} is a pickle and not safetensors; it was not opened, as that can execute code: "
                "take the safetensors file"
            ) from None
        reason = " ".join(str(error).split())
        raise CheckpointError(f"cannot read {path} ({reason}), it may be cut short; fetch the file again") from None


def load_projector(path: Path) -> dict[str, Tensor]:
    """Load a stage-1 `mm_projector.bin` as tensors by their names in a whole checkpoint; nothing in it is executed.

    Raises:
        CheckpointError: The file is broken or holds anything but named tensors.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(_no_projector(path, error)) from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(_no_projector(path, error)) from None
    named = isinstance(state, dict) and all(
        isinstance(n, str) and isinstance(t, torch.Tensor) and t.layout == torch.strided for n, t in state.items()
    )
    if not named:
        raise CheckpointError(f"{path} does not hold named tensors; fetch the file again")
    # Only what follows the last "mm_projector." counts: trainers put various prefixes before it.
    return {
        f"model.mm_projector.{name.rpartition('mm_projector.')[2]}" if "mm_projector." in name else name: tensor
        for name, tensor in state.items()
    }


def _no_projector(path: Path, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return find_placeholder(path) or (
        f"cannot read {path} ({reason}); it may hold nothing but tensors: fetch the file again"
    )


def _is_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start.startswith((b"PK\x03\x04", b"\x80"))  # torch.save's archive, and a bare pickle


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """Yield a folder to fill that is renamed to `out` at the end, and removed if anything goes wrong.

    Raises:
        CheckpointError: `out` exists or cannot be written.
    """
    out = Path(out).expanduser()
    if out.exists() or out.is_symlink():
        raise CheckpointError(f"{out} exists; name a folder that does not, or remove it")
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.rename(out)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write {out} ({error}); free some space or choose another place") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def shard_names(count: int) -> list[str]:
    """Return the file names of `count` shards."""
    return [WEIGHTS] if count == 1 else [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]


def write_shard(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write one safetensors file with the permissions of any other new file."""
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode  # the library replaces the file by one that only its owner may read
    save_file(tensors, path, metadata=metadata or {"format": "pt"})
    path.chmod(mode)


def write_index(folder: Path, where: dict[str, str], n_bytes: int) -> None:
    """Write which shard holds which tensor; nothing for a single file."""
    if set(where.values()) != {WEIGHTS}:
        write_json(folder / INDEX, {"metadata": {"total_size": n_bytes}, "weight_map": dict(sorted(where.items()))})


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object in UTF-8."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
