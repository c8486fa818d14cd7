"""Tensors from files to where the model wants them, with little more memory in use than the model itself takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lavida.checkpoint.contents import PROJECTOR, Stored, load_projector, open_weights
from lavida.nn.quant import QuantLinear

BATCH = 64 << 20  # bytes of a file that are turned into something else before its mapping is dropped
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}  # as stored
_INTEGERS = ("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What becomes of the tensors that are read."""

    dtype: torch.dtype | None = None  # of floating tensors; None = as stored
    device: torch.device = torch.device("cpu")
    packed: Mapping[str, type[QuantLinear]] = field(default_factory=dict)  # layers by name; their weight is packed
    waiting: str | None = None  # tensors whose name starts so stay on the CPU

    def keeps(self, name: str, stored: Stored) -> bool:
        """Whether the tensor can be used as it lies in the file."""
        same = self.dtype is None or stored.dtype in (DTYPES[self.dtype], *_INTEGERS)
        return same and self._device(name).type == "cpu" and name.removesuffix(".weight") not in self.packed

    def place(self, name: str, tensor: Tensor) -> dict[str, Tensor]:
        """The model's tensors that one of the file's turns into."""
        if self.dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(self.dtype)
        layer, dot, leaf = name.rpartition(".")
        pieces = {leaf: tensor}
        if leaf == "weight" and layer in self.packed:
            pieces = self.packed[layer].pack(tensor)
        return {f"{layer}{dot}{part}": t.to(self._device(name)) for part, t in pieces.items()}

    def _device(self, name: str) -> torch.device:
        waits = self.waiting is not None and name.startswith(self.waiting)
        return torch.device("cpu") if waits else self.device


def read_tensors(tensors: Mapping[str, Stored], target: Target) -> dict[str, Tensor]:
    """The model's tensors by our names; those that need not change remain mapped from the file.

    A page that was read counts as memory in use for as long as anything of its mapping lives. So what is to change is
    read through mappings of its own, each for about BATCH bytes.
    """
    state: dict[str, Tensor] = {}
    for path in sorted({stored.path for stored in tensors.values()}):
        here = {name: stored for name, stored in tensors.items() if stored.path == path}
        if path.name == PROJECTOR:
            held = load_projector(path)
            for name, stored in here.items():
                state |= target.place(name, held[stored.name])
            continue
        kept = {name: stored for name, stored in here.items() if target.keeps(name, stored)}
        state |= _mapped(path, kept)
        for batch in _batches((name, stored) for name, stored in here.items() if name not in kept):
            for name, tensor in _mapped(path, batch).items():
                state |= target.place(name, tensor)
            del tensor  # and with it the mapping
    return state


def _mapped(path: Path, wanted: Mapping[str, Stored]) -> dict[str, Tensor]:
    with open_weights(path) as file:
        return {name: file.get_tensor(stored.name) for name, stored in wanted.items()}


def _batches(tensors: Iterable[tuple[str, Stored]]) -> Iterator[dict[str, Stored]]:
    batch: dict[str, Stored] = {}
    for name, stored in tensors:
        if batch and stored.n_bytes + sum(s.n_bytes for s in batch.values()) > BATCH:
            yield batch
            batch = {}
        batch[name] = stored
    if batch:
        yield batch
