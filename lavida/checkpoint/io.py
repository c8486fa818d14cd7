"""Checkpoints loaded and saved: config.json and safetensors, in one file or in shards, official or our own."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from lavida.checkpoint.files import CONFIG, PROJECTOR, WEIGHTS, load_projector, open_weights, write_shard
from lavida.checkpoint.inventory import BORROWS, FLOATS, Match, Stored, match, meta_model, read_config, survey
from lavida.config import VLMConfig
from lavida.errors import CheckpointError, RequestError
from lavida.model import packing, placement
from lavida.model.vlm import VLM
from lavida.nn.packed import can_pack
from lavida.nn.quant import QuantLinear

BATCH = 64 << 20  # bytes of a file that are converted before its mapping is dropped
CHECKED = 1 << 16  # elements of the largest tensor that is checked for NaN and infinity: norms, biases, small filters
_EIGHT_BITS = ("F8_E4M3", "F8_E5M2")


@dataclass(frozen=True, kw_only=True)
class Target:
    """Say where tensors go as they are read, and in which type."""

    dtype: torch.dtype | None = None  # of floating tensors; None = as stored
    device: torch.device = torch.device("cpu")
    packed: Mapping[str, type[QuantLinear]] = field(default_factory=dict)  # layers by name; their weight is packed
    on_cpu: str | None = None  # tensors whose name starts so stay on the CPU
    takers: Mapping[str, packing.Taker] = field(default_factory=dict)  # of tensors that products are packed from

    def keeps(self, name: str, stored: Stored) -> bool:
        """Return whether the tensor can be used as it lies in the file."""
        same = self.dtype is None or FLOATS.get(stored.dtype, self.dtype) == self.dtype
        changed = name.removesuffix(".weight") in self.packed or (name in self.takers and name != packing.TABLE)
        same = same or (name == packing.TABLE and name in self.takers)  # looked up as it is stored
        return same and self._device(name).type == "cpu" and not changed

    def place(self, name: str, tensor: Tensor) -> dict[str, Tensor]:
        """Return the model's tensors that a tensor of the file becomes."""
        if self.dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(self.dtype)
        if name in self.takers:
            self.takers[name](tensor)
            return {}
        layer, dot, leaf = name.rpartition(".")
        pieces = {leaf: tensor}
        if leaf == "weight" and layer in self.packed:
            pieces = self.packed[layer].pack(tensor)
        return {f"{layer}{dot}{part}": t.to(self._device(name)) for part, t in pieces.items()}

    def _device(self, name: str) -> torch.device:
        stays = self.on_cpu is not None and name.startswith(self.on_cpu)
        return torch.device("cpu") if stays else self.device


def load_checkpoint(
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    quantize: str | None = None,
    offload: bool = False,
    pack: bool = False,
) -> tuple[VLM, VLMConfig]:
    """Load the model of a folder, in eval mode, and its configuration.

    On a CPU, tensors that need not change remain mapped from disk; the others pass through memory a few at a time.
    Every tensor is accounted for, and tensors of up to CHECKED elements are checked for NaN and infinity.

    Args:
        folder: Holds config.json and the weights.
        dtype: Type of the floating tensors. None keeps what is stored, if that is one type: of several the one that
            holds most weights is taken for all, and 8-bit floats become bfloat16.
        device: Where the model goes.
        quantize: One of `placement.QUANTIZE`.
        offload: Keep the denoiser's blocks on the CPU, from where they visit the device one at a time.
        pack: Pack weights for faster products (`model.packing`) where the processor has them; a model on another
            device, a quantized or an offloaded one is left as it is.

    Raises:
        CheckpointError: A tensor is missing, unexpected, of another shape, quantized or not finite.
        RequestError: The device cannot be used, or `quantize` is unknown.
    """
    _check_device(device)
    if quantize is not None:
        placement.check_quantize(quantize)
    contents = survey(folder)
    config = read_config(contents)
    model = meta_model(config, contents.tensors)  # no memory and no work for weights that are about to be replaced
    found = match(contents, model)
    found.require(contents)
    target = Target(
        dtype=dtype or _common_dtype(found),
        device=torch.device(device),
        packed=placement.quantize(model, quantize) if quantize is not None else {},
        on_cpu=placement.BLOCKS if offload else None,
    )
    if pack and quantize is None and not offload and _packs(found, target):
        target = replace(target, takers=packing.prepare(model, dtype=target.dtype))
    state = read_tensors(found.matched, target)
    _check_finite(state, contents.folder)
    model.load_state_dict(state, assign=True)
    if offload:
        placement.offload(model, device)
    return model.eval(), config


def save_checkpoint(
    model: VLM,
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    weights: Mapping[str, Tensor] | None = None,
    borrows: str | Path | None = None,
) -> None:
    """Write config.json and model.safetensors in our own layout.

    Args:
        model: The model; neither quantized nor offloaded.
        folder: Is made if it does not exist.
        dtype: Type that floating tensors are cast to; None keeps theirs.
        weights: Replace the model's own: those of a model that is sharded over processes are given, gathered.
        borrows: Folder of a model that holds the same pretrained light tower, which is then left out here.

    Raises:
        CheckpointError: The model or the folder does not allow it.
    """
    if not placement.is_as_trained(model):
        raise CheckpointError("a quantized or offloaded model is not saved; save the one it was loaded from")
    folder, data = Path(folder), model.config.to_json()
    kept = dict(model.state_dict() if weights is None else weights)
    if borrows is not None:
        data[BORROWS] = os.path.relpath(borrows, folder)
        kept = _without_borrowed(kept, Path(borrows), dtype)
    state = {}
    for name, tensor in kept.items():
        cast = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        state[name] = tensor.detach().to("cpu", cast).contiguous()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_shard(folder / WEIGHTS, state)
        (folder / CONFIG).write_text(json.dumps(data, indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write the checkpoint to {folder} ({error}); choose another folder") from None


def read_tensors(tensors: Mapping[str, Stored], target: Target) -> dict[str, Tensor]:
    """Read the model's tensors by our names; those that need not change remain mapped from the file.

    A page that was read counts as memory in use for as long as anything of its mapping lives. So what is converted is
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
        converted = {name: stored for name, stored in here.items() if name not in kept or name in target.takers}
        for batch in _batches(converted.items()):
            for name, tensor in _mapped(path, batch).items():
                state |= target.place(name, tensor)
            del tensor  # and with it the mapping
    return state


def _mapped(path: Path, wanted: Mapping[str, Stored]) -> dict[str, Tensor]:
    with open_weights(path) as file:
        try:
            return {name: file.get_tensor(stored.name) for name, stored in wanted.items()}
        except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
            raise CheckpointError(f"cannot read the tensors of {path} ({error}); fetch the file again") from None


def _batches(tensors: Iterable[tuple[str, Stored]]) -> Iterator[dict[str, Stored]]:
    batch: dict[str, Stored] = {}
    for name, stored in tensors:
        if batch and stored.n_bytes + sum(s.n_bytes for s in batch.values()) > BATCH:
            yield batch
            batch = {}
        batch[name] = stored
    if batch:
        yield batch


def computed_in(dtype: str) -> torch.dtype:
    """Return the type in which weights stored in a floating type are computed: 8-bit floats are stored only."""
    return torch.bfloat16 if dtype in _EIGHT_BITS else FLOATS[dtype]


def _common_dtype(found: Match) -> torch.dtype | None:
    """Return the type that stored weights are brought to; None if they can stay as they are."""
    counts: Counter[torch.dtype] = Counter()
    for stored in found.matched.values():
        if stored.dtype in FLOATS:
            counts[computed_in(stored.dtype)] += stored.count
    stored_types = {stored.dtype for stored in found.matched.values() if stored.dtype in FLOATS}
    if len(stored_types) < 2 and not stored_types & set(_EIGHT_BITS):
        return None
    return counts.most_common(1)[0][0]


def _packs(found: Match, target: Target) -> bool:
    """Return whether weights are to be packed: if the processor can, and if memory holds what need not stay mapped."""
    stored = {FLOATS[stored.dtype] for stored in found.matched.values() if stored.dtype in FLOATS}
    dtypes = {target.dtype} if target.dtype else stored
    if target.device.type != "cpu" or not all(map(can_pack, dtypes)):
        return False
    mapped = sum(stored.n_bytes for name, stored in found.matched.items() if target.keeps(name, stored))
    return mapped <= _available_memory()


def _available_memory() -> float:
    """Return the bytes that the system can give without swapping (Linux); infinity where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return float("inf")


def _check_finite(state: Mapping[str, Tensor], folder: Path) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.is_meta and tensor.numel() <= CHECKED:
            if not bool(torch.isfinite(tensor).all()):
                raise CheckpointError(
                    f"{folder}: {name} holds NaN or infinity; the checkpoint is damaged, or its training diverged: "
                    "fetch it again or take an earlier one"
                )


def _without_borrowed(state: dict[str, Tensor], lender: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return the weights that the lender does not hold; what it holds of the tower must be the same."""
    held = {name: stored for name, stored in survey(lender).tensors.items() if name.startswith("tower.")}
    held = {name: stored for name, stored in held.items() if not name.startswith("tower.adapted.") and name in state}
    for name, theirs in read_tensors(held, Target()).items():
        if not torch.equal(state[name].detach().cpu().to(dtype or theirs.dtype), theirs.to(dtype or theirs.dtype)):
            raise CheckpointError(f"{name} is not that of {lender}; save the model whole")
    return {name: tensor for name, tensor in state.items() if name not in held}


def _check_device(device: torch.device | str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch names no narrower type for a missing device
        raise RequestError(f"cannot use device {str(device)!r} ({str(error).splitlines()[0]}); try cpu") from None
