"""Official config.json files read as our configuration: LLaDA, Dream, LaViDa on either, LLaDA-V."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from lavida.checkpoint.layouts import LLADA, LLAMA, Layout
from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.errors import CheckpointError

# Ids that the official code holds as constants: (mask, end of text, end of turn).
LLADA_IDS = (126336, 126081, 126348)
DREAM_IDS = (151666, 151643, 151645)
# Ids that LLaDA-V never writes: end of text, start of text, and both ends of a header.
LLADA_V_BANNED = (126081, 126080, 126346, 126347)
# google/siglip-so400m-patch14-384 and its second edition: the published configs name the tower, not its sizes.
SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "layer_norm_eps": 1e-6,
}
# Fields of LLaDA's config that our block does not vary, with the value it has.
_FIXED = {
    "activation_type": "silu",
    "layer_norm_type": "rms",
    "block_type": "llama",
    "rope": True,
    "alibi": False,
    "attention_layer_norm": False,
    "bias_for_layer_norm": False,
    "include_bias": False,
    "input_emb_norm": False,
    "scale_logits": False,
    "hidden_act": "silu",
    "rope_scaling": None,
    "use_sliding_window": False,
}
# The same for the fields of a model that sees, which text-only files may hold with any value.
_FIXED_VISION = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_resampler_type": (None,),
    "mm_vision_select_feature": ("patch",),
    "mm_use_im_start_end": (False,),
    "mm_use_im_patch_token": (False,),
    "mm_patch_merge_type": (None, "flat", "spatial_unpad"),
}
_FIXED_POOL = {"mm_spatial_pool_mode": ("bilinear",), "mm_spatial_pool_stride": (None, 2)}
# (model_type in small letters, layout) -> the language model underneath
_BACKBONES = {
    ("llada", LLADA.name): "llada",
    ("llava_llada", LLADA.name): "llada",
    ("llada", LLAMA.name): "llada",  # LLaDA as LLaDA-V names it
    ("llava_llada", LLAMA.name): "llada",
    ("dream", LLAMA.name): "dream",
    ("llava_dream", LLAMA.name): "dream",
}
# What transformers' SigLIP has where the tower's own config.json says nothing.
_SIGLIP_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
}


def read_official(
    data: dict[str, Any], tower: dict[str, Any] | None, layout: Layout, shapes: dict[str, tuple[int, ...]]
) -> VLMConfig:
    """Configuration of an official checkpoint from its config.json, vision_config.json and our names' shapes."""
    backbone = _backbone(data, layout)
    _check_fixed(data, {name: (value,) for name, value in _FIXED.items()})
    try:
        # Resized embeddings have other rows than config.json says.
        vocab = shapes.get("denoiser.embedding.weight", (data["vocab_size"],))[0]
        if layout is LLADA:
            denoiser = _llada(data, vocab)
        elif backbone == "dream":
            denoiser = _llama(data, vocab, DREAM_IDS, logit_shift=True, qkv_bias=True)
        else:
            bias = "denoiser.blocks.0.attn.q.bias" in shapes
            denoiser = _llama(data, vocab, LLADA_IDS, logit_shift=False, qkv_bias=bias)
        if "projector.inner.weight" not in shapes:
            return _text_only(data, denoiser, backbone)
        # LLaDA-V keeps every cell of a view; LaViDa pools tiled pictures, whatever both configs say of a pooling mode.
        llada_v = layout is LLAMA and backbone == "llada"
        if llada_v:
            banned = data.get("suppress_standin_ids", LLADA_V_BANNED)
            denoiser = replace(denoiser, banned_ids=[i for i in banned if i < vocab])
        _check_fixed(data, _FIXED_VISION)
        return VLMConfig(
            denoiser=denoiser,
            vision=_vision({**_SIGLIP_DEFAULTS, **tower} if tower else SO400M, shapes),
            tiles=_tiles(data, pool=not llada_v),
            projector_hidden=shapes["projector.inner.weight"][0],
            family="llada-v" if llada_v else f"lavida-{backbone}",
        )
    except KeyError as error:
        raise CheckpointError(
            f"config.json lacks the field {error.args[0]!r}; take the file of the checkpoint"
        ) from None
    except TypeError as error:
        raise CheckpointError(
            f"config.json has a field of the wrong kind ({error}); take the file of the checkpoint"
        ) from None


def _backbone(data: dict[str, Any], layout: Layout) -> str:
    kind = str(data.get("model_type") or "")
    if (kind.lower(), layout.name) in _BACKBONES:
        return _BACKBONES[kind.lower(), layout.name]
    known = sorted({name for name, _ in _BACKBONES})
    if not kind:
        if layout is LLADA:  # no other model has such names
            return "llada"
        raise CheckpointError(
            "config.json has no model_type, and the tensor names fit Dream and LLaDA-V alike; "
            f"write one of {', '.join(known)}"
        )
    if kind.lower() in known:
        raise CheckpointError(
            f"config.json says {kind} and the tensors have the names of {layout.name}; they do not belong together"
        )
    code = "; the code that it brings (auto_map) is never run" if data.get("auto_map") else ""
    raise CheckpointError(f"config.json has the unknown model_type {kind!r}, not one of {', '.join(known)}{code}")


def _check_fixed(data: dict[str, Any], fixed: dict[str, tuple[Any, ...]]) -> None:
    for name, values in fixed.items():
        if data.get(name, values[0]) not in values:
            accepted = " or ".join(repr(v) for v in values)
            raise CheckpointError(f"config.json has {name} = {data[name]!r}, and only {accepted} is supported")


def _text_only(data: dict[str, Any], denoiser: DenoiserConfig, backbone: str) -> VLMConfig:
    if data.get("mm_vision_tower"):
        raise CheckpointError(
            "config.json names a vision tower and no file holds the projector (model.mm_projector.*); "
            "put mm_projector.bin beside it, or take the config.json of the text-only model"
        )
    return VLMConfig(denoiser=denoiser, family=backbone)


def _ids(data: dict[str, Any], constants: tuple[int, int, int], vocab: int) -> dict[str, Any]:
    mask, eos, turn = constants
    # `mask_standin_id` is how checkpoints with a tiny vocabulary say it where the official code has a constant.
    named = (data.get(name) for name in ("mask_token_id", "mask_standin_id"))
    mask = next((i for i in named if i is not None), mask)
    ends = eos if data.get("eos_token_id") is None else data["eos_token_id"]
    ends = list(ends) or [eos] if isinstance(ends, (list, tuple)) else [ends]
    if ends[0] == eos and turn < vocab and turn not in ends:
        ends.append(turn)
    return {"mask_id": mask, "eos_ids": tuple(ends)}


def _llada(data: dict[str, Any], vocab: int) -> DenoiserConfig:
    kv_heads = data.get("n_kv_heads") or (1 if data.get("multi_query_attention") else data["n_heads"])
    return DenoiserConfig(
        vocab_size=vocab,
        d_model=data["d_model"],
        n_layers=data["n_layers"],
        n_heads=data["n_heads"],
        n_kv_heads=kv_heads,
        mlp_size=data.get("mlp_hidden_size") or data["mlp_ratio"] * data["d_model"],
        norm_eps=data.get("rms_norm_eps", 1e-5),
        rope_theta=data.get("rope_theta", 10_000.0),
        qkv_bias=bool(data.get("include_qkv_bias")),
        tied_head=bool(data.get("weight_tying")),
        max_length=data.get("max_sequence_length", 4096),
        **_ids(data, LLADA_IDS, vocab),
    )


def _llama(
    data: dict[str, Any], vocab: int, ids: tuple[int, int, int], *, logit_shift: bool, qkv_bias: bool
) -> DenoiserConfig:
    return DenoiserConfig(
        vocab_size=vocab,
        d_model=data["hidden_size"],
        n_layers=data["num_hidden_layers"],
        n_heads=data["num_attention_heads"],
        n_kv_heads=data.get("num_key_value_heads") or data["num_attention_heads"],
        mlp_size=data["intermediate_size"],
        norm_eps=data.get("rms_norm_eps", 1e-6),
        rope_theta=data.get("rope_theta", 10_000.0),
        qkv_bias=qkv_bias,
        tied_head=bool(data.get("tie_word_embeddings")),
        logit_shift=logit_shift,
        max_length=data.get("max_position_embeddings", 4096),
        **_ids(data, ids, vocab),
    )


def _vision(tower: dict[str, Any], names: Collection[str]) -> VisionConfig:
    layers = {m[1] for name in names if (m := re.match(r"tower\.encoder\.layers\.(\d+)\.", name))}
    return VisionConfig(
        kind="siglip",
        hidden_size=tower["hidden_size"],
        image_size=tower["image_size"],
        cells=tower["image_size"] // tower["patch_size"],
        # The last layer of the tower is not run, and most checkpoints do not hold it.
        n_layers=min(len(layers), tower["num_hidden_layers"] - 1) or tower["num_hidden_layers"] - 1,
        n_heads=tower["num_attention_heads"],
        mlp_size=tower["intermediate_size"],
        patch_size=tower["patch_size"],
        norm_eps=tower.get("layer_norm_eps", 1e-6),
    )


def _tiles(data: dict[str, Any], *, pool: bool) -> TilesConfig:
    aspect = str(data.get("image_aspect_ratio") or "square")
    kind = re.fullmatch(r"(square|pad)|anyres(?:_max_(\d+))?", aspect)
    if not kind:
        raise CheckpointError(
            f"config.json has image_aspect_ratio = {aspect!r}, "
            "and only square, pad, anyres and anyres_max_N are supported"
        )
    tiled, unpad = kind[1] is None, data.get("mm_patch_merge_type") == "spatial_unpad"
    if tiled and not unpad:
        raise CheckpointError("config.json tiles pictures and merges them flat; only spatial_unpad is supported")
    pool = pool and tiled  # the low-resolution and stage-1 models keep the 729 cells of their one view
    _check_fixed(data, _FIXED_POOL if pool else {})
    return TilesConfig(
        pinpoints=_pinpoints(data.get("image_grid_pinpoints")) if tiled else (),
        square=aspect == "pad",
        pool=pool,
        unpad=unpad,
        max_tiles=int(kind[2] or 0),
    )


def _pinpoints(value: Any) -> tuple[tuple[int, int], ...]:
    """A list of pairs, the same as text, or "(1x1),...,(6x6)" in views of 384 pixels."""
    span = re.fullmatch(r"\((\d+)x(\d+)\),\.\.\.,\((\d+)x(\d+)\)", value) if isinstance(value, str) else None
    if span:
        a, b, c, d = (int(n) for n in span.groups())
        return tuple((i * 384, j * 384) for i in range(a, c + 1) for j in range(b, d + 1))
    try:
        pairs = ast.literal_eval(value) if isinstance(value, str) else value
        return tuple((int(w), int(h)) for w, h in pairs)
    except (TypeError, ValueError, SyntaxError):
        raise CheckpointError(f"config.json has image_grid_pinpoints = {value!r}; give (width, height) pairs") from None
