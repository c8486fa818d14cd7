"""Packed weights for products on CPUs (`nn/packed.py`), put in place of a model's linear layers from outside.

Tower, projector, denoiser and head are packed, at the latest when a checkpoint has been read; then no second copy of a
weight is left. Only of a head that is the embedding there are two, one to multiply by and one to look tokens up in.
Small layers, a classifier of single rows, and layers of 8 or 4 bits stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from lavida.model.vlm import VLM
from lavida.nn.packed import LEAST, PackedHead, PackedLinear, StoredTable, can_pack, linear_of, together

# Neighbours that read the same input: they are one product.
_TOGETHER = (("q", "k", "v"), ("gate", "up"), ("q_proj", "k_proj", "v_proj"))
_PARTS = ("tower.", "projector.", "denoiser.")
_HEAD = "denoiser.unembedding"
TABLE = "denoiser.embedding.weight"
Taker = Callable[[Tensor], None]


def prepare(net: VLM, least: int | None = None, *, dtype: torch.dtype | None = None) -> dict[str, Taker]:
    """Put packed layers without weights in place of the linear layers; return who takes which tensor of the state.

    Works on the meta device, so that a checkpoint's tensors can be packed as they are read. Weights of fewer than
    `least` (LEAST) elements stay as they are. With a `dtype`, a table that is the head too is looked up as it is
    stored, and its values are brought to that type.
    """
    takers: dict[str, Taker] = {}
    least = LEAST if least is None else least
    for names in list(_groups(net, least)):
        layers = [layer for name in names if isinstance(layer := net.get_submodule(name), nn.Linear)]
        stand_ins = together(layers, fill=not names[0].startswith("tower."))
        for name, layer in zip(names, stand_ins, strict=True):
            net.set_submodule(name, layer)
            for leaf in ("weight", "bias")[: 1 + layer.product.biased]:
                takers[f"{name}.{leaf}"] = partial(layer.take, leaf)
    denoiser = net.denoiser
    vocab_size, tied = denoiser.config.vocab_size, denoiser.unembedding is None
    if vocab_size * denoiser.config.d_model >= least and isinstance(denoiser.unembedding, (nn.Linear, type(None))):
        head = PackedHead(vocab_size, tied=tied)
        if tied:
            denoiser.packed_head = head
            if dtype is not None:
                denoiser.embedding = StoredTable(dtype)
        else:
            denoiser.unembedding = head
        takers[TABLE if tied else f"{_HEAD}.weight"] = partial(head.take, "weight")
    return takers


def pack_products(net: VLM, least: int | None = None) -> VLM:
    """Pack the weights of a model on a CPU in place, one layer after the other; do nothing for other types."""
    if net.denoiser.device.type != "cpu" or not can_pack(net.denoiser.dtype):
        return net
    dense = dict(net.named_parameters())
    for name, take in prepare(net, least).items():
        take(dense.pop(name))
    return net


def unpack_products(net: VLM) -> VLM:
    """Put ordinary linear layers back, in place, with the same weights: they can be trained."""
    for name, layer in list(net.named_modules()):
        if isinstance(layer, PackedLinear):
            net.set_submodule(name, layer.unpacked())
    head = net.denoiser.unembedding
    if isinstance(head, PackedHead):
        net.denoiser.unembedding = linear_of(head.weight)
    net.denoiser.packed_head, table = None, net.denoiser.embedding
    if isinstance(table, StoredTable):
        net.denoiser.embedding = nn.Embedding.from_pretrained(table.weight.clone(), freeze=False)
    return net


def _groups(net: VLM, least: int) -> Iterator[list[str]]:
    """Yield the names of linear layers that are packed, those together that read the same input."""
    layers = {name: layer for name, layer in net.named_modules() if type(layer) is nn.Linear}
    single = {name for name in layers if name.startswith(_PARTS) and name not in (_HEAD, "tower.classifier")}
    for name in sorted(single):
        stem, _, leaf = name.rpartition(".")
        group = next((group for group in _TOGETHER if leaf in group), (leaf,))
        names = [f"{stem}.{part}" for part in group]
        if any(name not in single for name in names) or not _alike([layers[name] for name in names]):
            names = [name]
        if names[0] == name and sum(layers[name].weight.numel() for name in names) >= least:
            yield names


def _alike(layers: list[nn.Linear]) -> bool:
    return len({(layer.in_features, layer.bias is None) for layer in layers}) == 1
