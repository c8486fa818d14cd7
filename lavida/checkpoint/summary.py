"""What a checkpoint is, in figures that its headers tell."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lavida.checkpoint.contents import Contents, Stored
from lavida.checkpoint.match import Match
from lavida.config import VLMConfig

# What a tensor's name begins with -> the part of the model that it is counted to
_PARTS = {
    "tower.": "vision tower",
    "denoiser.embedding.": "embeddings",
    "denoiser.unembedding.": "head",
    "denoiser.": "denoiser",
    "": "projector",
}


def summarise(contents: Contents, config: VLMConfig, found: Match) -> dict[str, Any]:
    """Family, sizes, ids, tensors and memory as plain values; bytes are those of the tensors that are loaded."""
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
            "max_length": denoiser.max_length,
        },
        "picture": _picture(config),
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


def _memory(config: VLMConfig, tensors: dict[str, Stored]) -> dict[str, int]:
    """Bytes of the weights, as they are stored and in float32, and of keys and values for 1000 tokens of a prompt."""
    denoiser = config.denoiser
    keys_and_values = 2 * denoiser.n_layers * denoiser.n_kv_heads * denoiser.head_dim
    stored, count = sum(s.n_bytes for s in tensors.values()), sum(s.count for s in tensors.values())
    width = stored / count if count else 0
    return {"as_stored": stored, "float32": 4 * count, "prompt_of_1000": round(1000 * keys_and_values * width)}


def _code(contents: Contents) -> list[str]:
    """Code that a checkpoint brings or asks for; it is never run."""
    asked = ["auto_map"] if contents.data.get("auto_map") else []
    return asked + sorted(p.name for p in contents.folder.glob("*.py"))
