"""How a model is made to fit: fewer bits for the denoiser's linear layers, blocks that wait on the CPU.

Functions applied from outside; the network's own code knows nothing of them. Tower, projector, norms and embedding
stay as they are, and so does the head unless it is asked for.
"""

from __future__ import annotations

import torch
from torch import nn

from lavida.errors import RequestError
from lavida.model.vlm import VLM
from lavida.nn.offload import Offloaded
from lavida.nn.quant import Int4Linear, Int8Linear, QuantLinear, replace_linears

KINDS: dict[str, type[QuantLinear]] = {"int8": Int8Linear, "int4": Int4Linear}
QUANTIZE = (*KINDS, *(f"{name}+head" for name in KINDS))  # what `quantize` may be
BLOCKS = "denoiser.blocks."  # how the names of the tensors begin that are packed and offloaded


def check_quantize(choice: str) -> None:
    """Raises RequestError for a choice that is not in QUANTIZE."""
    if choice not in QUANTIZE:
        raise RequestError(f"unknown quantize {choice!r}; choose one of {', '.join(QUANTIZE)}")


def quantize(model: VLM, choice: str) -> dict[str, type[QuantLinear]]:
    """Pack linear layers of the denoiser in place; which they are, by name, and how they are packed.

    "int8" and "int4" pack the blocks, "int8+head" and "int4+head" the unembedding too. Works on the meta device, so
    that a checkpoint's tensors can be packed as they are read. Raises RequestError for another choice, or for a head
    that is the embedding.
    """
    check_quantize(choice)
    kind, head = KINDS[choice.removesuffix("+head")], choice.endswith("+head")
    if head and model.denoiser.unembedding is None:
        raise RequestError(f"the model's head is its embedding, which stays as it is; take {choice[:4]!r}")
    packed = {BLOCKS + name for name in replace_linears(model.denoiser.blocks, kind)}
    if head:
        model.denoiser.unembedding = kind(model.denoiser.unembedding.weight)
        packed.add("denoiser.unembedding")
    return dict.fromkeys(packed, kind)


def offload(model: VLM, device: torch.device | str) -> None:
    """Keep the denoiser's blocks on the CPU and copy one at a time to `device`; nothing to do if that is the CPU.

    Everything else is left where it is. The model is for inference from then on.
    """
    if torch.device(device).type != "cpu":
        model.denoiser.blocks = nn.ModuleList(Offloaded(block, device) for block in model.denoiser.blocks)


def is_as_trained(model: nn.Module) -> bool:
    """Whether the weights are all there and as they were: neither packed nor offloaded."""
    return not any(isinstance(module, (QuantLinear, Offloaded)) for module in model.modules())
