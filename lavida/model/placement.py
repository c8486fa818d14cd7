"""Quantization of the denoiser's linear layers, and offloading of its blocks to the CPU.

Both are applied from outside; the network's own code does not depend on them. Tower, projector, norms and embedding
are not changed, nor is the head unless it is named.
"""

from __future__ import annotations

import torch
from torch import nn

from lavida.errors import RequestError
from lavida.model.packing import unpack_products
from lavida.model.vlm import VLM
from lavida.nn.offload import Offloaded
from lavida.nn.quant import Int4Linear, Int8Linear, QuantLinear, replace_linears

KINDS: dict[str, type[QuantLinear]] = {"int8": Int8Linear, "int4": Int4Linear}
QUANTIZE = (*KINDS, *(f"{name}+head" for name in KINDS))  # values of `quantize`
BLOCKS = "denoiser.blocks."  # prefix of the tensors that are packed and offloaded


def check_quantize(choice: str) -> None:
    """Raise RequestError for a choice that is not in QUANTIZE."""
    if choice not in QUANTIZE:
        raise RequestError(f"unknown quantize {choice!r}; choose one of {', '.join(QUANTIZE)}")


def quantize(model: VLM, choice: str) -> dict[str, type[QuantLinear]]:
    """Pack linear layers of the denoiser in place; return their classes by name.

    Works on the meta device, so that a checkpoint's tensors can be packed as they are read.

    Args:
        model: The model.
        choice: "int8" and "int4" pack the blocks, "int8+head" and "int4+head" the unembedding too.

    Raises:
        RequestError: The choice is unknown, or the head is tied to the embedding.
    """
    check_quantize(choice)
    kind, head = KINDS[choice.removesuffix("+head")], choice.endswith("+head")
    unembedding = unpack_products(model).denoiser.unembedding
    if head and unembedding is None:
        raise RequestError(f"the model's head is its embedding, which stays as it is; take {choice[:4]!r}")
    packed = {BLOCKS + name for name in replace_linears(model.denoiser.blocks, kind)}
    if head and isinstance(unembedding, nn.Linear):
        model.denoiser.unembedding = kind(unembedding.weight)
        packed.add("denoiser.unembedding")
    return dict.fromkeys(packed, kind)


def offload(model: VLM, device: torch.device | str) -> None:
    """Keep the denoiser's blocks on the CPU and copy one at a time to `device`; do nothing if that is the CPU.

    The model is for inference only from then on.
    """
    if torch.device(device).type != "cpu":
        model.denoiser.blocks = nn.ModuleList(Offloaded(block, device) for block in model.denoiser.blocks)


def is_as_trained(model: nn.Module) -> bool:
    """Return whether the weights are neither packed nor offloaded."""
    return not any(isinstance(module, (QuantLinear, Offloaded)) for module in model.modules())
