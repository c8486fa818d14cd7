"""Names of our tensors in each published layout. Pure renaming: no tensor is transposed or split.

A rule is a pair of templates (ours, theirs); `{i}` stands for a number, `{leaf}` for weight or bias, `{rest}` for
anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from lavida.errors import CheckpointError

KEPT = "unused."
_FIELDS = {"i": r"\d+", "leaf": "weight|bias", "rest": ".+"}

_LLADA = (
    ("denoiser.embedding.weight", "model.transformer.wte.weight"),
    ("denoiser.blocks.{i}.attn_norm.weight", "model.transformer.blocks.{i}.attn_norm.weight"),
    ("denoiser.blocks.{i}.attn.q.{leaf}", "model.transformer.blocks.{i}.q_proj.{leaf}"),
    ("denoiser.blocks.{i}.attn.k.{leaf}", "model.transformer.blocks.{i}.k_proj.{leaf}"),
    ("denoiser.blocks.{i}.attn.v.{leaf}", "model.transformer.blocks.{i}.v_proj.{leaf}"),
    ("denoiser.blocks.{i}.attn.out.weight", "model.transformer.blocks.{i}.attn_out.weight"),
    ("denoiser.blocks.{i}.mlp_norm.weight", "model.transformer.blocks.{i}.ff_norm.weight"),
    ("denoiser.blocks.{i}.mlp.gate.weight", "model.transformer.blocks.{i}.ff_proj.weight"),
    ("denoiser.blocks.{i}.mlp.up.weight", "model.transformer.blocks.{i}.up_proj.weight"),
    ("denoiser.blocks.{i}.mlp.down.weight", "model.transformer.blocks.{i}.ff_out.weight"),
    ("denoiser.norm.weight", "model.transformer.ln_f.weight"),
    ("denoiser.unembedding.weight", "model.transformer.ff_out.weight"),
)
_LLAMA = (  # Dream, and LLaDA as LLaDA-V names it
    ("denoiser.embedding.weight", "model.embed_tokens.weight"),
    ("denoiser.blocks.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"),
    ("denoiser.blocks.{i}.attn.q.{leaf}", "model.layers.{i}.self_attn.q_proj.{leaf}"),
    ("denoiser.blocks.{i}.attn.k.{leaf}", "model.layers.{i}.self_attn.k_proj.{leaf}"),
    ("denoiser.blocks.{i}.attn.v.{leaf}", "model.layers.{i}.self_attn.v_proj.{leaf}"),
    ("denoiser.blocks.{i}.attn.out.weight", "model.layers.{i}.self_attn.o_proj.weight"),
    ("denoiser.blocks.{i}.mlp_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"),
    ("denoiser.blocks.{i}.mlp.gate.weight", "model.layers.{i}.mlp.gate_proj.weight"),
    ("denoiser.blocks.{i}.mlp.up.weight", "model.layers.{i}.mlp.up_proj.weight"),
    ("denoiser.blocks.{i}.mlp.down.weight", "model.layers.{i}.mlp.down_proj.weight"),
    ("denoiser.norm.weight", "model.norm.weight"),
    ("denoiser.unembedding.weight", "lm_head.weight"),
)
_TOWER = "model.vision_tower.vision_tower.vision_model."


def _tower(prefix: str) -> tuple[tuple[str, str], ...]:
    return (
        ("tower.patches.{leaf}", prefix + "embeddings.patch_embedding.{leaf}"),
        ("tower.positions.weight", prefix + "embeddings.position_embedding.weight"),
        ("tower.encoder.{rest}", prefix + "encoder.{rest}"),
    )


_LAVIDA = (  # LaViDa and LLaDA-V alike
    ("newline", "model.image_newline"),
    ("projector.inner.{leaf}", "model.mm_projector.0.{leaf}"),
    ("projector.outer.{leaf}", "model.mm_projector.2.{leaf}"),
    *_tower(_TOWER),
)
# In the published files, but never read: what follows the layer that the features are taken from, and tables of
# rotary angles.
_UNUSED = (
    _TOWER + "post_layernorm.{leaf}",
    _TOWER + "head.{rest}",
    _TOWER + "embeddings.position_ids",
    "model.rotary_emb.inv_freq",
    "model.layers.{i}.self_attn.rotary_emb.inv_freq",
)


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{p}>{_FIELDS[p]})" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


def _rename(name: str, rules: Iterable[tuple[str, str]]) -> str | None:
    for source, target in rules:
        match = _pattern(source).fullmatch(name)
        if match:
            return target.format(**match.groupdict())
    return None


def bare(name: str) -> str:
    """Return a tensor's name without the prefix that raw dumps of a distributed trainer put before it."""
    return name.removeprefix("module.")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Describe one way of naming tensors; without rules the names are our own."""

    name: str
    rules: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()

    def to_ours(self, name: str) -> str | None:
        """Return our name of their tensor; None if no rule covers it."""
        name = bare(name)
        return _rename(name, [(theirs, ours) for ours, theirs in self.rules]) if self.rules else name

    def from_ours(self, name: str) -> str:
        """Return their name of our tensor. Raises CheckpointError if the layout has no place for it."""
        theirs = _rename(name, self.rules) if self.rules else name
        if theirs is None:
            raise CheckpointError(f"the layout {self.name} has no place for the tensor {name}; keep our own layout")
        return theirs

    def is_unused(self, name: str) -> bool:
        """Return whether this tensor of theirs may be left out."""
        return any(_pattern(template).fullmatch(bare(name)) for template in self.unused)


# Tensors of a published checkpoint that we do not read keep their names, behind a prefix, when converted to ours.
OURS = Layout(name="lavida", unused=(KEPT + "{rest}",))
LLADA = Layout(name="llada", rules=_LLADA + _LAVIDA, unused=_UNUSED)
LLAMA = Layout(name="llama", rules=_LLAMA + _LAVIDA, unused=_UNUSED)
SIGLIP = Layout(name="siglip", rules=_tower(""))  # a tower in a folder of its own, after `vision_model.`


def recognise(names: Iterable[str]) -> Layout:
    """Return the layout that these tensor names are written in. Raises CheckpointError if it is none we know."""
    names = {bare(name) for name in names}

    def known(layout: Layout) -> int:
        return sum((layout.to_ours(name) or "").startswith("denoiser.") for name in names)

    best = max((OURS, LLADA, LLAMA), key=known)
    if known(best):
        return best
    example = min(names, default="nothing at all")
    raise CheckpointError(
        f"the checkpoint's tensor names ({example}, ...) are none of LLaDA, Dream, LaViDa, LLaDA-V or lavida; "
        "give the folder of one of those"
    )
