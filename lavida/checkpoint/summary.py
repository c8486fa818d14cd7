"""Facts about a checkpoint, from the headers of its files."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import torch

from lavida.checkpoint.inventory import FLOATS, Contents, Match, Stored, meta_model
from lavida.checkpoint.io import Target, computed_in
from lavida.checkpoint.vq import FOLDER as VQ
from lavida.config import VLMConfig
from lavida.errors import ConfigError
from lavida.model import placement
from lavida.nn.quant import QuantLinear

# How a tensor's name begins -> the part of the model that it is counted with
_PARTS = {
    "tower.": "vision tower",
    "denoiser.embedding.": "embeddings",
    "denoiser.unembedding.": "head",
    "denoiser.": "denoiser",
    "": "projector",
}


def summarise(contents: Contents, config: VLMConfig, found: Match) -> dict[str, Any]:
    """Return family, sizes, ids, tensors and memory as plain values; bytes are those of the tensors that are loaded."""
    parts: Counter[str] = Counter()
    dtypes: Counter[str] = Counter()
    for name, stored in found.matched.items():
        parts[next(part for start, part in _PARTS.items() if name.startswith(start))] += stored.count
        dtypes[stored.dtype] += stored.count
    denoiser = config.denoiser
    return {
        "folder": str(contents.folder),
        "family": config.family,
        "layout": contents.layout.name,
        "parameters": {"total": sum(parts.values()), **parts},
        "dtypes": dict(dtypes),
        "files": sorted({stored.path.name for stored in found.matched.values()}),
        "canvas": {
            "vocabulary": denoiser.vocab_size,
            "mask_id": denoiser.mask_id,
            "eos_ids": list(denoiser.eos_ids),
            "banned_ids": list(denoiser.banned_ids),
            "logit_shift": denoiser.logit_shift,
            "autoregressive": denoiser.autoregressive,
            "max_length": denoiser.max_length,
        },
        "picture": _picture(config),
        "codes": _codes(contents, config),
        "tensors": {
            "matched": len(found.matched),
            "missing": sorted(found.missing),
            "misshapen": {name: [list(s.shape), list(shape)] for name, (s, shape) in found.misshapen.items()},
            "unexpected": sorted(s.name for s in found.unexpected),
            "unused": sorted(s.name for s in (*found.unused, *found.idle.values())),
        },
        "memory": _memory(config, found.matched),
        "code_never_run": _code(contents),
    }


def _picture(config: VLMConfig) -> dict[str, Any] | None:
    if config.vision is None:
        return None
    size, tiles = config.vision.image_size, config.tiles
    most = max((w * h // size**2 for w, h in tiles.pinpoints), default=0)
    return {"tower": config.vision.kind, "view": size, "tiles_at_most": most, "pooled": tiles.pool}


def _codes(contents: Contents, config: VLMConfig) -> dict[str, Any] | None:
    if config.codes is None:
        return None
    return {**asdict(config.codes), "tokenizer": VQ if (contents.folder / VQ).is_dir() else None}


def _memory(config: VLMConfig, tensors: dict[str, Stored]) -> dict[str, int | None]:
    """Return bytes of the weights as stored, in float32 and packed, and of the cache for 1000 tokens of a prompt.

    None stands for packed weights that the sizes of the model do not allow.
    """
    denoiser = config.denoiser
    keys_and_values = 2 * denoiser.n_layers * denoiser.n_kv_heads * denoiser.head_dim
    stored, count = sum(s.n_bytes for s in tensors.values()), sum(s.count for s in tensors.values())
    width = stored / count if count else 0
    layers = placement.quantize(meta_model(config, tensors), "int8")  # the same for every kind
    packed = {name: _packed(tensors, dict.fromkeys(layers, kind)) for name, kind in placement.KINDS.items()}
    prompt = round(1000 * keys_and_values * width)
    return {"as_stored": stored, "float32": 4 * count, **packed, "prompt_of_1000": prompt}


def _packed(tensors: dict[str, Stored], layers: dict[str, type[QuantLinear]]) -> int | None:
    """Return bytes of the tensors as stored, except for the layers that are packed as they are read."""
    target = Target(packed=layers, device=torch.device("meta"))
    total = 0
    for name, stored in tensors.items():
        if name.removesuffix(".weight") not in layers or stored.dtype not in FLOATS:
            total += stored.n_bytes
            continue
        try:
            pieces = target.place(name, torch.empty(stored.shape, dtype=computed_in(stored.dtype), device="meta"))
        except ConfigError:  # rows of odd length in 4 bits
            return None
        total += sum(piece.nbytes for piece in pieces.values())
    return total


def _code(contents: Contents) -> list[str]:
    """Return names of the code that a checkpoint brings or asks for; it is never run."""
    asked = ["auto_map"] if contents.data.get("auto_map") else []
    return asked + sorted(p.name for p in contents.folder.glob("*.py"))
