"""A checkpoint folder that appears whole or not at all, and its shards."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from lavida.checkpoint.contents import INDEX, WEIGHTS
from lavida.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """A folder to fill, beside `out` and renamed to it at the end; removed if anything goes wrong.

    Raises CheckpointError if `out` exists or cannot be written.
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
    """File names of so many shards."""
    return [WEIGHTS] if count == 1 else [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]


def write_shard(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """One safetensors file, readable to those who may read any new file."""
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode  # the library replaces the file by one that only its owner may read
    save_file(tensors, path, metadata=metadata or {"format": "pt"})
    path.chmod(mode)


def write_index(folder: Path, where: dict[str, str], n_bytes: int) -> None:
    """Say which shard holds which tensor; nothing is written for a single file."""
    if set(where.values()) != {WEIGHTS}:
        write_json(folder / INDEX, {"metadata": {"total_size": n_bytes}, "weight_map": dict(sorted(where.items()))})


def write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
