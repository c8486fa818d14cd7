"""Random checkpoints in the published layout of any family, to try every size without weights.

Their placeholder tokenizer is a plain byte-level BPE with the special tokens of the family in their places: its words
mean nothing, but ids, templates and sizes are those of the published one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from lavida.checkpoint.families import (
    CODE_IDS,
    DREAM_IDS,
    FORMS,
    LLADA_IDS,
    LLADA_V_BANNED,
    MMADA_FIRST,
    MMADA_IDS,
    SO400M,
)
from lavida.checkpoint.files import (
    CONFIG,
    TOWER_CONFIG,
    new_folder,
    shard_names,
    write_index,
    write_json,
    write_shard,
)
from lavida.checkpoint.inventory import meta_model
from lavida.checkpoint.official import read_tower, write_official
from lavida.checkpoint.vq import FOLDER as VQ
from lavida.checkpoint.vq import save_vq
from lavida.config import CodesConfig, DenoiserConfig, TilesConfig, VLMConfig
from lavida.errors import RequestError, check_seed
from lavida.model.vq import HalfConfig, ImageTokenizer, VQConfig

# Single bytes in the order of GPT-2's table, as in both published vocabularies: "!" is 0, a newline 198.
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """List the special tokens of a backbone with their official ids, and name those that have a role."""

    official: dict[str, int]
    roles: dict[str, str]  # bos, eos, pad, mask -> token
    turn: str  # ends a turn
    template: str  # Jinja, for `apply_chat_template`
    tiny: tuple[str, ...]  # the special tokens that a tiny vocabulary has


def _numbered(first: int, names: tuple[str, ...]) -> dict[str, int]:
    return {name: first + i for i, name in enumerate(names)}


_LLADA_NAMED = {
    **_numbered(126080, ("<|startoftext|>", "<|endoftext|>", "[CLS]", "[gMASK]")),
    "<|mdm_mask|>": 126336,
    **_numbered(126340, ("<role>", "</role>", "<|arithmetic_start|>", "<|arithmetic_end|>")),
    **_numbered(126344, ("<|number_start|>", "<|number_end|>")),
    **_numbered(126346, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
}
_LLADA_RESERVED = {f"<|reserved_token_{i}|>": 126084 + i for i in range(256) if 126084 + i not in _LLADA_NAMED.values()}
LLADA = SpecialTokens(
    official=_LLADA_NAMED | _LLADA_RESERVED,
    roles={"bos": "<|startoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>", "mask": "<|mdm_mask|>"},
    turn="<|eot_id|>",
    # Line ends stand in expressions: Jinja drops a literal one at the end of a template.
    template="{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>{{ '\\n\\n' }}"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}",
    # The first two reserved tokens are those of infilling: its end, and a place that stays empty.
    tiny=(*_LLADA_NAMED, "<|reserved_token_0|>", "<|reserved_token_1|>", "<|reserved_token_2|>"),
)
# Pictures take some of the reserved tokens, and there is one newline behind a header.
MMADA = replace(
    LLADA,
    template=LLADA.template.replace("\\n\\n", "\\n"),
    tiny=(*_LLADA_NAMED, *(f"<|reserved_token_{i}|>" for i in range(11))),
)
_QWEN: tuple[str, ...] = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
)
_QWEN += ("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")
_QWEN += ("<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>")
_QWEN += ("<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|beginoftext|>", "<|mask|>")
DREAM = SpecialTokens(
    official=_numbered(151643, _QWEN),
    roles={"bos": "<|beginoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>", "mask": "<|mask|>"},
    turn="<|im_end|>",
    template="{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    tiny=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>"),
)

SCALES = ("tiny", "half", "8b")
SHARD = 2_000_000_000  # bytes, and about the memory that writing takes
# Queries and keys of scale "half" are so many times as large: attention is sharp then, and what it sees depends on
# where it stands, so that an answer holds many different ids.
_SHARP = {"half": 2.0}
_TAPE = 2**24 + 43  # random numbers; an odd count, so that no two tensors read them from the same place


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """Describe the models of a family."""

    family: str
    tokens: SpecialTokens
    denoiser: DenoiserConfig  # at the published size
    tiles: TilesConfig | None = None
    codes: CodesConfig | None = None  # pictures are tokens


_LLADA_8B = DenoiserConfig(
    vocab_size=126464,
    d_model=4096,
    n_layers=32,
    n_heads=32,
    n_kv_heads=32,
    mlp_size=12288,
    mask_id=LLADA_IDS[0],
    eos_ids=LLADA_IDS[1:],
)
_DREAM_7B = DenoiserConfig(
    vocab_size=152064,
    d_model=3584,
    n_layers=28,
    n_heads=28,
    n_kv_heads=4,
    mlp_size=18944,
    mask_id=DREAM_IDS[0],
    eos_ids=DREAM_IDS[1:],
    norm_eps=1e-6,
    rope_theta=1_000_000.0,
    qkv_bias=True,
    logit_shift=True,
    max_length=131072,
)
_MMADA_CODES = CodesConfig(
    first_id=MMADA_FIRST, count=8192, **{ours: MMADA_IDS[theirs] for ours, theirs in CODE_IDS.items()}
)
_TINY_HALF = HalfConfig(channels=32, factors=(1, 1, 1, 1, 1), blocks=(1, 1, 1, 1, 1))
_TINY_VQ = VQConfig(encoder=_TINY_HALF, decoder=_TINY_HALF, bits=6)
_LLADA_V_8B = replace(_LLADA_8B, max_length=16384, banned_ids=LLADA_V_BANNED)
_SQUARES = tuple((384 * i, 384 * j) for i in range(1, 7) for j in range(1, 7))
_HD = TilesConfig(pinpoints=((384, 768), (768, 384), (768, 768), (1152, 384), (384, 1152)))
_LAVIDA = _Recipe(family="lavida-llada", tokens=LLADA, denoiser=_LLADA_8B, tiles=_HD)
RECIPES = {
    "lavida-llada": _LAVIDA,
    "lavida-dream": _Recipe(family="lavida-dream", tokens=DREAM, denoiser=_DREAM_7B, tiles=_HD),
    # Infilling and reasoning were trained further, and look the same.
    "lavida-fim": _LAVIDA,
    "lavida-reason": _LAVIDA,
    "lavida-lowres": replace(_LAVIDA, tiles=TilesConfig(pool=False, unpad=False)),
    "llada-v": _Recipe(
        family="llada-v",
        tokens=LLADA,
        denoiser=_LLADA_V_8B,
        tiles=TilesConfig(pinpoints=_SQUARES, pool=False, max_tiles=4),
    ),
    "llada": _Recipe(family="llada", tokens=LLADA, denoiser=_LLADA_8B),
    "dream": _Recipe(family="dream", tokens=DREAM, denoiser=_DREAM_7B),
    "mmada": _Recipe(
        family="mmada", tokens=MMADA, denoiser=replace(_LLADA_8B, vocab_size=126464 + 8192), codes=_MMADA_CODES
    ),
}


def make_random(family: str, scale: str, out: str | Path, *, seed: int = 0) -> None:
    """Write a random checkpoint in bfloat16 to the new folder `out`, shard by shard.

    Args:
        family: One of RECIPES.
        scale: One of SCALES; "half" has the published tower and vocabulary and half a billion weights in the denoiser.
        out: Must not exist.
        seed: Of the random numbers, which repeat after 16.8 million.

    Raises:
        RequestError: The family or scale is unknown.
        CheckpointError: `out` exists or cannot be written.
    """
    check_seed(seed)
    if family not in RECIPES:
        raise RequestError(f"unknown family {family!r}; choose one of {', '.join(RECIPES)}")
    if scale not in SCALES:
        raise RequestError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    recipe, official = RECIPES[family], scale != "tiny"
    config = random_config(family, scale)
    data, tower = write_official(config)
    with new_folder(out) as folder:
        write_json(folder / CONFIG, data)
        if tower:
            write_json(folder / TOWER_CONFIG, tower)
        write_placeholder_tokenizer(folder, recipe.tokens, official=official, max_length=config.denoiser.max_length)
        _write_weights(folder, config, seed, sharp=_SHARP.get(scale, 1.0))
        if recipe.codes is not None:
            save_vq(_random_vq(VQConfig() if official else _TINY_VQ, seed), folder / VQ)


def random_config(family: str, scale: str) -> VLMConfig:
    """Return the configuration of a family at a scale."""
    recipe = RECIPES[family]
    shapes = {"tiny": _shrunk, "half": _halved, "8b": lambda recipe: recipe.denoiser}
    denoiser = shapes[scale](recipe)
    if recipe.codes is not None:
        codes = _shrunk_codes(recipe) if scale == "tiny" else recipe.codes
        return VLMConfig(denoiser=denoiser, family=recipe.family, codes=codes)
    if recipe.tiles is None:
        return VLMConfig(denoiser=denoiser, family=recipe.family)
    return VLMConfig(
        denoiser=denoiser,
        vision=read_tower(SO400M | _TINY_TOWER if scale == "tiny" else SO400M, ()),
        tiles=recipe.tiles,
        projector_hidden=denoiser.d_model,
        family=recipe.family,
    )


_TINY_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}


def _shrunk(recipe: _Recipe) -> DenoiserConfig:
    """Return a few layers, and a vocabulary of bytes and special tokens with some rows to spare, as published."""
    special = special_ids(recipe.tokens, official=False)
    name_of = {i: token for token, i in recipe.tokens.official.items()}
    big = recipe.denoiser
    return replace(
        big,
        vocab_size=320 if recipe.codes is None else 384,
        d_model=64,
        n_layers=2,
        n_heads=4,
        n_kv_heads=4 * big.n_kv_heads // big.n_heads or 1,
        mlp_size=160,
        mask_id=special[name_of[big.mask_id]],
        eos_ids=tuple(special[name_of[i]] for i in big.eos_ids),
        banned_ids=tuple(special[name_of[i]] for i in big.banned_ids),
    )


def _shrunk_codes(recipe: _Recipe) -> CodesConfig:
    """Return the codes of a tiny image tokenizer, whose ids follow the tiny vocabulary."""
    special = special_ids(recipe.tokens, official=False)
    name_of = {i: token for token, i in recipe.tokens.official.items()}
    ids = {ours: special[name_of[MMADA_IDS[theirs]]] for ours, theirs in CODE_IDS.items()}
    return CodesConfig(first_id=max(special.values()) + 1, count=_TINY_VQ.codes, **ids)


def _random_vq(config: VQConfig, seed: int) -> ImageTokenizer:
    """Return an image tokenizer of random weights, as PyTorch draws them for a new layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ImageTokenizer(config)


def _halved(recipe: _Recipe) -> DenoiserConfig:
    """Return blocks of 0.4 billion weights behind the published vocabulary."""
    big = recipe.denoiser
    kv = 16 * big.n_kv_heads // big.n_heads
    return replace(big, d_model=1024, n_layers=24, n_heads=16, n_kv_heads=kv, mlp_size=4096)


def special_ids(tokens: SpecialTokens, *, official: bool) -> dict[str, int]:
    """Return the special tokens with their ids: the official ones, or in a tiny vocabulary those behind the bytes."""
    return tokens.official if official else _numbered(len(BYTES), tokens.tiny)


def write_placeholder_tokenizer(folder: Path, tokens: SpecialTokens, *, official: bool, max_length: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`; words that no text becomes fill the ids between."""
    special = special_ids(tokens, official=official)
    ids = {token: i for i, token in enumerate(BYTES)}
    taken = set(special.values())
    ids |= {f"\u0120w{i}": i for i in range(len(BYTES), max(taken)) if i not in taken}
    ids |= special
    backend = Tokenizer(models.BPE(vocab=ids, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(sorted(special, key=special.__getitem__))
    backend.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{role}_token": token for role, token in tokens.roles.items()},
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
        "chat_template": tokens.template,
    }
    write_json(folder / "tokenizer_config.json", config)


def _write_weights(folder: Path, config: VLMConfig, seed: int, sharp: float = 1.0) -> None:
    layout = FORMS[config.family].layout
    shapes = {layout.from_ours(n): tuple(t.shape) for n, t in meta_model(config, ()).state_dict().items()}
    if config.vision:  # published files hold the norm that follows the last layer, which nothing reads
        norm = "model.vision_tower.vision_tower.vision_model.post_layernorm."
        shapes |= {norm + leaf: (config.vision.hidden_size,) for leaf in ("weight", "bias")}
    shards = list(_shards(shapes))
    count = sum(prod(shape) for shape in shapes.values())
    names, tape = shard_names(len(shards)), _Tape(min(count, _TAPE), seed, config.denoiser.d_model**-0.5)
    for file, shard in zip(names, shards, strict=True):
        read = {name: tape.read(name, shapes[name]) for name in shard}
        write_shard(folder / file, {name: t * sharp if _is_attention(name) else t for name, t in read.items()})
    where = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
    write_index(folder, where, 2 * count)


def _is_attention(name: str) -> bool:
    """Return whether a tensor of the denoiser makes queries or keys."""
    return name.endswith(("q_proj.weight", "k_proj.weight")) and "vision" not in name


def _shards(shapes: dict[str, tuple[int, ...]]) -> Iterator[list[str]]:
    """Yield names of tensors, as many together as fit into one file."""
    held: list[str] = []
    n_bytes = 0
    for name, shape in shapes.items():
        if held and n_bytes + 2 * prod(shape) > SHARD:
            yield held
            held, n_bytes = [], 0
        held.append(name)
        n_bytes += 2 * prod(shape)
    yield held


class _Tape:
    """Repeat normal numbers: drawing billions of them would take longer than writing them."""

    def __init__(self, length: int, seed: int, std: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._numbers = (torch.randn(length, generator=generator) * std).to(torch.bfloat16)
        self._at = 0

    def read(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return a tensor of bfloat16: ones for the scale of a norm, else the next numbers of the tape."""
        if len(shape) == 1 and name.endswith("weight"):
            return torch.ones(shape, dtype=torch.bfloat16)
        flat = torch.empty(prod(shape), dtype=torch.bfloat16)
        done = 0
        while done < len(flat):
            piece = self._numbers[self._at : self._at + len(flat) - done]
            flat[done : done + len(piece)] = piece
            done += len(piece)
            self._at = (self._at + len(piece)) % len(self._numbers)
        return flat.view(shape)
