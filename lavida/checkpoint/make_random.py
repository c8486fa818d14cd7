"""Random checkpoints in the published layout of any family, to try every size without weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from lavida.checkpoint.contents import CONFIG, TOWER_CONFIG
from lavida.checkpoint.families import DREAM_IDS, LLADA_IDS, LLADA_V_BANNED, SO400M
from lavida.checkpoint.inventory import blueprint
from lavida.checkpoint.published import FORMS, write_official
from lavida.checkpoint.standin import DREAM, LLADA, Vocabulary, special_ids, write_tokenizer
from lavida.checkpoint.writing import new_folder, shard_names, write_index, write_json, write_shard
from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.errors import RequestError, check_seed

SCALES = ("tiny", "8b")
SHARD = 2_000_000_000  # bytes, and about the memory that writing takes
_TAPE = 2**24 + 43  # random numbers; an odd count, so that no two tensors read them from the same place


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What a family is made of."""

    family: str
    vocabulary: Vocabulary
    denoiser: DenoiserConfig  # at the published size
    tiles: TilesConfig | None = None


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
_LLADA_V_8B = replace(_LLADA_8B, max_length=16384, banned_ids=LLADA_V_BANNED)
_SQUARES = tuple((384 * i, 384 * j) for i in range(1, 7) for j in range(1, 7))
_HD = TilesConfig(pinpoints=((384, 768), (768, 384), (768, 768), (1152, 384), (384, 1152)))
_LAVIDA = _Recipe(family="lavida-llada", vocabulary=LLADA, denoiser=_LLADA_8B, tiles=_HD)
RECIPES = {
    "lavida-llada": _LAVIDA,
    "lavida-dream": _Recipe(family="lavida-dream", vocabulary=DREAM, denoiser=_DREAM_7B, tiles=_HD),
    # Infilling and reasoning were trained further, and look the same.
    "lavida-fim": _LAVIDA,
    "lavida-reason": _LAVIDA,
    "lavida-lowres": replace(_LAVIDA, tiles=TilesConfig(pool=False, unpad=False)),
    "llada-v": _Recipe(
        family="llada-v",
        vocabulary=LLADA,
        denoiser=_LLADA_V_8B,
        tiles=TilesConfig(pinpoints=_SQUARES, pool=False, max_tiles=4),
    ),
    "llada": _Recipe(family="llada", vocabulary=LLADA, denoiser=_LLADA_8B),
    "dream": _Recipe(family="dream", vocabulary=DREAM, denoiser=_DREAM_7B),
}


def make_random(family: str, scale: str, out: str | Path, *, seed: int = 0) -> None:
    """Write a random checkpoint in bfloat16 to the new folder `out`, shard by shard.

    Raises RequestError for an unknown family or scale, CheckpointError if `out` exists or cannot be written.
    """
    check_seed(seed)
    if family not in RECIPES:
        raise RequestError(f"unknown family {family!r}; choose one of {', '.join(RECIPES)}")
    if scale not in SCALES:
        raise RequestError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    recipe, official = RECIPES[family], scale == "8b"
    config = random_config(family, scale)
    data, tower = write_official(config)
    with new_folder(out) as folder:
        write_json(folder / CONFIG, data)
        if tower:
            write_json(folder / TOWER_CONFIG, tower)
        write_tokenizer(folder, recipe.vocabulary, official=official, max_length=config.denoiser.max_length)
        _write_weights(folder, config, seed)


def random_config(family: str, scale: str) -> VLMConfig:
    """The configuration of a family at a scale."""
    recipe = RECIPES[family]
    denoiser = recipe.denoiser if scale == "8b" else _shrunk(recipe)
    sizes = SO400M if scale == "8b" else SO400M | _TINY_TOWER
    vision = VisionConfig(
        kind="siglip",
        hidden_size=sizes["hidden_size"],
        image_size=sizes["image_size"],
        cells=sizes["image_size"] // sizes["patch_size"],
        n_layers=sizes["num_hidden_layers"] - 1,
        n_heads=sizes["num_attention_heads"],
        mlp_size=sizes["intermediate_size"],
        patch_size=sizes["patch_size"],
        norm_eps=sizes["layer_norm_eps"],
    )
    if recipe.tiles is None:
        return VLMConfig(denoiser=denoiser, family=recipe.family)
    return VLMConfig(
        denoiser=denoiser,
        vision=vision,
        tiles=recipe.tiles,
        projector_hidden=denoiser.d_model,
        family=recipe.family,
    )


_TINY_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}


def _shrunk(recipe: _Recipe) -> DenoiserConfig:
    """A few layers, and a vocabulary of bytes and special tokens with some rows to spare, as published."""
    special = special_ids(recipe.vocabulary, official=False)
    name_of = {i: token for token, i in recipe.vocabulary.official.items()}
    big = recipe.denoiser
    return replace(
        big,
        vocab_size=320,
        d_model=64,
        n_layers=2,
        n_heads=4,
        n_kv_heads=4 * big.n_kv_heads // big.n_heads or 1,
        mlp_size=160,
        mask_id=special[name_of[big.mask_id]],
        eos_ids=[special[name_of[i]] for i in big.eos_ids],
        banned_ids=[special[name_of[i]] for i in big.banned_ids],
    )


def _write_weights(folder: Path, config: VLMConfig, seed: int) -> None:
    layout = FORMS[config.family].layout
    shapes = {layout.from_ours(n): tuple(t.shape) for n, t in blueprint(config, ()).state_dict().items()}
    if config.vision:  # published files hold the norm that follows the last layer, which nothing reads
        norm = "model.vision_tower.vision_tower.vision_model.post_layernorm."
        shapes |= {norm + leaf: (config.vision.hidden_size,) for leaf in ("weight", "bias")}
    shards = list(_shards(shapes))
    count = sum(prod(shape) for shape in shapes.values())
    names, tape = shard_names(len(shards)), _Tape(min(count, _TAPE), seed, config.denoiser.d_model**-0.5)
    for file, shard in zip(names, shards, strict=True):
        write_shard(folder / file, {name: tape.read(name, shapes[name]) for name in shard})
    where = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
    write_index(folder, where, 2 * count)


def _shards(shapes: dict[str, tuple[int, ...]]) -> Iterator[list[str]]:
    """Names of tensors, as many together as fit into one file."""
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
    """Normal numbers that are read over and over: drawing billions of them would take longer than writing them."""

    def __init__(self, length: int, seed: int, std: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._numbers = (torch.randn(length, generator=generator) * std).to(torch.bfloat16)
        self._at = 0

    def read(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor of bfloat16: ones for the scale of a norm, everything else goes on where the tape is."""
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
