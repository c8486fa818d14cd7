"""What lies in a checkpoint folder, read from the headers of its files: no tensor is loaded and no code is run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from lavida.checkpoint.hub import find_checkpoint
from lavida.checkpoint.layouts import OURS, SIGLIP, Layout, recognise
from lavida.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, TOWER_CONFIG = "config.json", "vision_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
BORROWS = "borrows"  # in our config.json: the folder, seen from this one, of a model with the same frozen weights
PROJECTOR = "mm_projector.bin"  # the trained part of a stage-1 checkpoint, a pickle
_BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "BF16": 16, "F16": 16, "I16": 16, "U16": 16}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One tensor on disk."""

    path: Path
    name: str  # what the file calls it
    shape: tuple[int, ...]
    dtype: str  # as safetensors writes it: BF16, F32, ...

    @property
    def count(self) -> int:
        return prod(self.shape)

    @property
    def n_bytes(self) -> int:
        return self.count * _BITS.get(self.dtype, 8) // 8


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that a folder holds, each tensor in exactly one of `tensors`, `unused` and `unexpected`."""

    folder: Path
    layout: Layout
    data: dict[str, Any]  # config.json, without BORROWS
    tower: dict[str, Any] | None  # configuration of the vision tower, if a file holds one
    tensors: dict[str, Stored]  # by our names
    unused: tuple[Stored, ...]  # known, and not part of the model
    unexpected: tuple[Stored, ...]  # that no rule speaks of

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: stored.shape for name, stored in self.tensors.items()}


def survey(folder: str | Path) -> Contents:
    """Account for every tensor of a folder. Raises CheckpointError for what is missing, broken or ambiguous."""
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
        tensors |= {name: s for name, s in _lent(folder, str(lender)).items() if name not in tensors}
    return Contents(
        folder=folder,
        layout=layout,
        data=data,
        tower=tower,
        tensors=tensors,
        unused=tuple(unused),
        unexpected=tuple(unexpected),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError if the file is missing, broken or holds something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(f"{path.parent} has no readable {path.name}; give the folder of a checkpoint") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); fetch the file again") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a JSON object; fetch the file again")
    return data


def open_weights(path: Path, framework: str = "pt") -> Any:
    """An open safetensors file. Raises CheckpointError if it is missing, cut short or something else."""
    try:
        return safe_open(path, framework=framework)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} lacks {path.name}; fetch the file again") from None
    except (OSError, SafetensorError) as error:
        if _is_pickle(path):
            raise CheckpointError(
                f"{path} is a pickle and not safetensors; it was not opened, as that can execute code: "
                "take the safetensors file"
            ) from None
        raise CheckpointError(f"cannot read {path} ({error}), it may be cut short; fetch the file again") from None


def load_projector(path: Path) -> dict[str, Tensor]:
    """The tensors of a stage-1 `mm_projector.bin` by their names in a whole checkpoint; nothing in it is executed."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"cannot read {path} ({reason}); it may hold nothing but tensors: fetch the file again"
        ) from None
    if not (isinstance(state, dict) and all(isinstance(t, torch.Tensor) for t in state.values())):
        raise CheckpointError(f"{path} does not hold named tensors; fetch the file again")
    # Only what follows the last "mm_projector." counts: trainers put various prefixes before it.
    return {
        f"model.mm_projector.{name.rpartition('mm_projector.')[2]}" if "mm_projector." in name else name: tensor
        for name, tensor in state.items()
    }


def _weights(folder: Path) -> Iterator[Stored]:
    index = _index(folder)
    for file_name in sorted(set(index.values())) if index else (WEIGHTS,):
        with open_weights(folder / file_name, "np") as file:
            held = set(file.keys())
            lost = sorted(name for name, where in index.items() if where == file_name and name not in held)
            if lost:
                raise CheckpointError(f"{folder / file_name} does not hold {lost[0]}, which {INDEX} says; fetch both")
            for name in sorted(held):
                if index and index.get(name) not in (None, file_name):
                    raise CheckpointError(
                        f"{folder} holds {name} in {file_name} and in {index[name]}; remove the one that is not meant"
                    )
                piece = file.get_slice(name)
                yield Stored(
                    path=folder / file_name, name=name, shape=tuple(piece.get_shape()), dtype=piece.get_dtype()
                )


def _index(folder: Path) -> dict[str, str]:
    """File name of each tensor; empty if there is one file only. Raises CheckpointError if weights are missing."""
    if not (folder / INDEX).exists():
        if not (folder / WEIGHTS).exists():
            raise CheckpointError(f"{folder} {_no_weights(folder)}")
        return {}
    index = read_json(folder / INDEX).get("weight_map")
    if not (isinstance(index, dict) and index) or not all(
        isinstance(f, str) and Path(f).name == f for f in index.values()
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
        return f"holds shards, and no {INDEX} that says what is in them; fetch it"
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        return f"holds pickled weights only ({pickles[0]}), which can execute code; take the safetensors files"
    return f"holds no weights; put {WEIGHTS}, or shards and {INDEX}, there"


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    return start.startswith((b"PK\x03\x04", b"\x80"))  # torch.save's archive, and a bare pickle


def _projector(folder: Path) -> Iterator[Stored]:
    path = folder / PROJECTOR
    if path.exists():
        words = {"bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}
        for name, tensor in load_projector(path).items():
            dtype = str(tensor.dtype).removeprefix("torch.")
            yield Stored(path=path, name=name, shape=tuple(tensor.shape), dtype=words.get(dtype, dtype))


def _lent(folder: Path, lender: str) -> dict[str, Stored]:
    """The weights of a pretrained tower that another model holds, but not what was finetuned of it there."""
    home = folder / lender
    if not home.is_dir():
        raise CheckpointError(f"{folder} borrows its tower from {home}, which is missing; put that model there")
    held = {s.name: s for s in _weights(home)}
    return {n: s for n, s in held.items() if n.startswith("tower.") and not n.startswith("tower.adapted.")}


def _separate_tower(folder: Path, data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Stored]]:
    """Configuration and tensors of the tower that config.json names: a folder in or beside this one, or a hub id."""
    named = str(data.get("mm_vision_tower") or "")
    if not named:
        raise CheckpointError(
            f"{folder} holds a projector and no vision tower; name the tower's folder or hub id "
            f"as mm_vision_tower in {CONFIG}"
        )
    try:
        home = next((p for p in (folder / named, folder.parent / named) if p.is_dir()), None) or find_checkpoint(named)
    except CheckpointError as error:
        raise CheckpointError(f"{folder} holds no vision tower and names {named}: {error}") from None
    config = read_json(home / CONFIG)
    found = {}
    for s in _weights(home):
        name = SIGLIP.to_ours(s.name.removeprefix("vision_model."))
        if name is not None:  # the text half of SigLIP is not a part of any model here
            found[name] = s
    return config.get("vision_config", config), found
