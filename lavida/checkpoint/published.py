"""The config.json that the published checkpoints of each family have, filled in from our configuration.

The inverse of `families.read_official`: fields that our model reads come from the configuration, the others are
constants, kept because other programs look for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lavida.checkpoint.families import DREAM_IDS, LLADA_IDS, LLADA_V_BANNED, SO400M
from lavida.checkpoint.layouts import LLADA, LLAMA, Layout
from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.errors import CheckpointError

_LLADA = {
    "activation_type": "silu",
    "alibi": False,
    "alibi_bias_max": 8.0,
    "attention_dropout": 0.0,
    "attention_layer_norm": False,
    "attention_layer_norm_with_affine": True,
    "bias_for_layer_norm": False,
    "block_group_size": 1,
    "block_type": "llama",
    "embedding_dropout": 0.0,
    "flash_attention": False,
    "include_bias": False,
    "init_cutoff_factor": None,
    "init_device": "meta",
    "init_fn": "mitchell",
    "init_std": 0.02,
    "input_emb_norm": False,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "mlp_ratio": 4,
    "multi_query_attention": None,
    "precision": "amp_bf16",
    "residual_dropout": 0.0,
    "rope": True,
    "rope_full_precision": True,
    "scale_logits": False,
    "transformers_version": "4.46.3",
    "use_cache": False,
}
_DREAM = {
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rope_scaling": None,
    "sliding_window": None,
    "transformers_version": "4.46.2",
    "use_cache": True,
    "use_mrope": False,
    "use_sliding_window": False,
}
_LLADA_V = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,  # as published, a leftover of another tokenizer; the one in use is 126080
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "pretraining_tp": 1,
    "rope_scaling": None,
    "use_cache": False,
}
_VISION = {
    "add_faster_video": False,
    "add_time_instruction": False,
    "faster_token_stride": 10,
    "force_sample": False,
    "image_crop_resolution": None,
    "image_split_resolution": None,
    "mm_newline_position": "grid",
    "mm_projector_lr": None,
    "mm_projector_type": "mlp2x_gelu",
    "mm_resampler_type": None,
    "mm_spatial_pool_mode": "bilinear",
    "mm_spatial_pool_stride": None,
    "mm_tunable_parts": "mm_vision_tower,mm_mlp_adapter,mm_language_model",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower_lr": 2e-06,
    "tokenizer_padding_side": "right",
    "use_mm_proj": True,
    "vision_tower_pretrained": None,
}
_SIGLIP, _SIGLIP2 = "google/siglip-so400m-patch14-384", "google/siglip2-so400m-patch14-384"


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a family is published."""

    layout: Layout
    model_type: str
    architecture: str
    ids: tuple[int, int, int]  # mask, end of text, end of turn, as published
    fields: dict[str, Any]
    names_mask: bool = True  # False: config.json is silent about mask and padding where they are as published


FORMS = {
    "llada": Form(
        layout=LLADA,
        model_type="llada",
        architecture="LLaDAModelLM",
        ids=LLADA_IDS,
        fields={
            "auto_map": {
                "AutoConfig": "configuration_llada.LLaDAConfig",
                "AutoModel": "modeling_llada.LLaDAModelLM",
                "AutoModelForCausalLM": "modeling_llada.LLaDAModelLM",
            },
            **_LLADA,
        },
    ),
    "dream": Form(
        layout=LLAMA,
        model_type="Dream",
        architecture="DreamModel",
        ids=DREAM_IDS,
        fields={
            "auto_map": {"AutoConfig": "configuration_dream.DreamConfig", "AutoModel": "modeling_dream.DreamModel"},
            **_DREAM,
        },
    ),
    "lavida-llada": Form(
        layout=LLADA,
        model_type="llava_llada",
        architecture="LlavaLladaForMaskedDiffusion",
        ids=LLADA_IDS,
        fields={**_LLADA, **_VISION, "mm_pooler_ratio": 2, "mm_vision_tower": _SIGLIP},
    ),
    "lavida-dream": Form(
        layout=LLAMA,
        model_type="llava_dream",
        architecture="LlavaDreamForMaskedDiffusion",
        ids=DREAM_IDS,
        fields={**_DREAM, **_VISION, "mm_pooler_ratio": 2, "mm_vision_tower": _SIGLIP},
    ),
    "llada-v": Form(
        layout=LLAMA,
        model_type="llava_llada",
        architecture="LlavaLLaDAModelLM",
        ids=LLADA_IDS,
        fields={**_LLADA_V, **_VISION, "mm_vision_tower": _SIGLIP2},
        names_mask=False,
    ),
}


def write_official(config: VLMConfig) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The published config.json of a model, and its vision_config.json if the tower is none that can be named.

    Raises CheckpointError for a family that is not published in a layout of its own.
    """
    form = FORMS.get(config.family)
    if form is None:
        raise CheckpointError(
            f"{config.family} has no published layout but its own; only {', '.join(FORMS)} have another"
        )
    sizes = _llada_sizes if form.layout is LLADA else _llama_sizes
    data = {
        "architectures": [form.architecture],
        "model_type": form.model_type,
        **form.fields,
        **sizes(config.denoiser),
        **_ids(config.denoiser, form),
        "torch_dtype": "bfloat16",
    }
    if config.vision is None:
        return dict(sorted(data.items())), None
    data |= _tiles(config.tiles)
    data |= {"mm_hidden_size": config.vision.hidden_size, "tokenizer_model_max_length": config.denoiser.max_length}
    return dict(sorted(data.items())), _tower(config.vision)


def _llada_sizes(denoiser: DenoiserConfig) -> dict[str, Any]:
    return {
        "d_model": denoiser.d_model,
        "n_layers": denoiser.n_layers,
        "n_heads": denoiser.n_heads,
        "n_kv_heads": denoiser.n_kv_heads,
        "mlp_hidden_size": denoiser.mlp_size,
        "vocab_size": denoiser.vocab_size,
        "embedding_size": denoiser.vocab_size,
        "rms_norm_eps": denoiser.norm_eps,
        "rope_theta": denoiser.rope_theta,
        "include_qkv_bias": denoiser.qkv_bias,
        "weight_tying": denoiser.tied_head,
        "max_sequence_length": denoiser.max_length,
    }


def _llama_sizes(denoiser: DenoiserConfig) -> dict[str, Any]:
    return {
        "hidden_size": denoiser.d_model,
        "num_hidden_layers": denoiser.n_layers,
        "num_attention_heads": denoiser.n_heads,
        "num_key_value_heads": denoiser.n_kv_heads,
        "intermediate_size": denoiser.mlp_size,
        "vocab_size": denoiser.vocab_size,
        "rms_norm_eps": denoiser.norm_eps,
        "rope_theta": denoiser.rope_theta,
        "tie_word_embeddings": denoiser.tied_head,
        "max_position_embeddings": denoiser.max_length,
    }


def _ids(denoiser: DenoiserConfig, form: Form) -> dict[str, Any]:
    mask, eos, turn = form.ids
    # The end of a turn is known to go with the official end of text, and is not written then.
    ends: Any = eos if denoiser.eos_ids == (eos, turn) else list(denoiser.eos_ids)
    ids = {"eos_token_id": ends}
    if form.names_mask or denoiser.mask_id != mask:
        ids |= {"mask_token_id": denoiser.mask_id, "pad_token_id": denoiser.eos_ids[0]}
    if denoiser.banned_ids and denoiser.banned_ids != LLADA_V_BANNED:
        ids["suppress_standin_ids"] = list(denoiser.banned_ids)
    return ids


def _tiles(tiles: TilesConfig) -> dict[str, Any]:
    whole, tiled = "pad" if tiles.square else "square", f"anyres_max_{tiles.max_tiles}" if tiles.max_tiles else "anyres"
    return {
        "image_aspect_ratio": tiled if tiles.pinpoints else whole,
        "image_grid_pinpoints": [list(pair) for pair in tiles.pinpoints] or None,
        "mm_patch_merge_type": "spatial_unpad" if tiles.unpad else "flat",
    }


def _tower(vision: VisionConfig) -> dict[str, Any] | None:
    sizes = {
        "hidden_size": vision.hidden_size,
        "intermediate_size": vision.mlp_size,
        "num_hidden_layers": vision.n_layers + 1,  # with the last one, which is not run
        "num_attention_heads": vision.n_heads,
        "image_size": vision.image_size,
        "patch_size": vision.patch_size,
        "layer_norm_eps": vision.norm_eps,
    }
    if sizes == SO400M:
        return None
    return {"model_type": "siglip_vision_model", "hidden_act": "gelu_pytorch_tanh", "num_channels": 3, **sizes}
