"""Tables of how each family is published: names of fields in config.json, their defaults, and constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lavida.checkpoint.layouts import LLADA, LLAMA, Layout
from lavida.errors import CheckpointError

# Ids that the official code holds as constants: (mask, end of text, end of turn).
LLADA_IDS = (126336, 126081, 126348)
DREAM_IDS = (151666, 151643, 151645)
# Ids that LLaDA-V never writes: end of text, start of text, and both ends of a header.
LLADA_V_BANNED = (126081, 126080, 126346, 126347)

# MMaDA: ids that pictures take of LLaDA's reserved ones, by the names of the official code, and the id of code 0, which
# is the length of the tokenizer. Checkpoints with a tiny vocabulary say theirs in a file, STANDINS, or in config.json.
MMADA_IDS = {
    "bos": 126080, "<|soi|>": 126084, "<|eoi|>": 126085, "<|t2i|>": 126088, "<|mmu|>": 126089, "[iPAD]": 126093,
    "<|r2i|>": 126094,
}  # fmt: skip
MMADA_FIRST = 126349
CODE_IDS = {
    "start_id": "bos", "begin_id": "<|soi|>", "end_id": "<|eoi|>", "draw_id": "<|t2i|>", "read_id": "<|mmu|>",
    "reason_id": "<|r2i|>", "pad_id": "[iPAD]",
}  # fmt: skip

REQUIRED = object()
Names = dict[str, tuple[str, Any]]  # our field -> (published field, its default or a function of config.json)

_LLADA_NAMES: Names = {
    "d_model": ("d_model", REQUIRED),
    "n_layers": ("n_layers", REQUIRED),
    "n_heads": ("n_heads", REQUIRED),
    "n_kv_heads": ("n_kv_heads", lambda data: 1 if data.get("multi_query_attention") else data["n_heads"]),
    "mlp_size": ("mlp_hidden_size", lambda data: data["mlp_ratio"] * data["d_model"]),
    "norm_eps": ("rms_norm_eps", 1e-5),
    "rope_theta": ("rope_theta", 10_000.0),
    "qkv_bias": ("include_qkv_bias", False),
    "tied_head": ("weight_tying", False),
    "max_length": ("max_sequence_length", 4096),
}
_LLAMA_NAMES: Names = {
    "d_model": ("hidden_size", REQUIRED),
    "n_layers": ("num_hidden_layers", REQUIRED),
    "n_heads": ("num_attention_heads", REQUIRED),
    "n_kv_heads": ("num_key_value_heads", lambda data: data["num_attention_heads"]),
    "mlp_size": ("intermediate_size", REQUIRED),
    "norm_eps": ("rms_norm_eps", 1e-6),
    "rope_theta": ("rope_theta", 10_000.0),
    "tied_head": ("tie_word_embeddings", False),
    "max_length": ("max_position_embeddings", 4096),
}
DENOISER_NAMES = {LLADA.name: _LLADA_NAMES, LLAMA.name: _LLAMA_NAMES}
TOWER_NAMES: Names = {  # the defaults are those of transformers' SigLIP
    "hidden_size": ("hidden_size", 768),
    "mlp_size": ("intermediate_size", 3072),
    "n_layers": ("num_hidden_layers", 12),
    "n_heads": ("num_attention_heads", 12),
    "image_size": ("image_size", 224),
    "patch_size": ("patch_size", 16),
    "norm_eps": ("layer_norm_eps", 1e-6),
}
# google/siglip-so400m-patch14-384 and its second edition: the published configs name the tower, not its sizes.
SO400M: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "layer_norm_eps": 1e-6,
}

# Fields that our block does not vary, with the values that it has.
FIXED: dict[str, tuple[Any, ...]] = {
    "activation_type": ("silu",),
    "layer_norm_type": ("rms",),
    "block_type": ("llama",),
    "rope": (True,),
    "alibi": (False,),
    "attention_layer_norm": (False,),
    "bias_for_layer_norm": (False,),
    "include_bias": (False,),
    "input_emb_norm": (False,),
    "scale_logits": (False,),
    "hidden_act": ("silu",),
    "rope_scaling": (None,),
    "use_sliding_window": (False,),
    "w_clip_vit": (False,),
}
# The same for the fields of a vision-language model, which text-only files may hold with any value.
FIXED_VISION: dict[str, tuple[Any, ...]] = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_resampler_type": (None,),
    "mm_vision_select_feature": ("patch",),
    "mm_use_im_start_end": (False,),
    "mm_use_im_patch_token": (False,),
    "mm_patch_merge_type": (None, "flat", "spatial_unpad"),
}
FIXED_POOL: dict[str, tuple[Any, ...]] = {
    "mm_spatial_pool_mode": ("bilinear",),
    "mm_spatial_pool_stride": (None, 2),
}

_LLADA_AUTO_MAP = {
    "AutoConfig": "configuration_llada.LLaDAConfig",
    "AutoModel": "modeling_llada.LLaDAModelLM",
    "AutoModelForCausalLM": "modeling_llada.LLaDAModelLM",
}
_LLADA_CONSTANTS = {
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
_DREAM_CONSTANTS = {
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
_LLADA_V_CONSTANTS = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,  # as published, left over from another tokenizer; 126080 is in use
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "pretraining_tp": 1,
    "rope_scaling": None,
    "use_cache": False,
}
_VISION_CONSTANTS = {
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
    """Describe how a family is published, and what its config.json leaves to the code."""

    layout: Layout
    model_type: str
    architecture: str
    ids: tuple[int, int, int]  # mask, end of text, end of turn, as published
    constants: Mapping[str, Any]
    sees: bool = False
    logit_shift: bool = False
    qkv_bias: bool | None = None  # None: config.json or the tensors tell
    names_mask: bool = True  # False: config.json is silent about mask and padding where they are as published
    pools: bool = True  # tiled pictures are pooled, whatever config.json says of a pooling mode
    banned: tuple[int, ...] = ()  # never written
    codes: bool = False  # pictures are tokens


FORMS = {
    "llada": Form(
        layout=LLADA,
        model_type="llada",
        architecture="LLaDAModelLM",
        ids=LLADA_IDS,
        constants={
            "auto_map": _LLADA_AUTO_MAP,
            **_LLADA_CONSTANTS,
        },
    ),
    "dream": Form(
        layout=LLAMA,
        model_type="Dream",
        architecture="DreamModel",
        ids=DREAM_IDS,
        constants={
            "auto_map": {"AutoConfig": "configuration_dream.DreamConfig", "AutoModel": "modeling_dream.DreamModel"},
            **_DREAM_CONSTANTS,
        },
        logit_shift=True,
        qkv_bias=True,
    ),
    "lavida-llada": Form(
        layout=LLADA,
        model_type="llava_llada",
        architecture="LlavaLladaForMaskedDiffusion",
        ids=LLADA_IDS,
        constants={**_LLADA_CONSTANTS, **_VISION_CONSTANTS, "mm_pooler_ratio": 2, "mm_vision_tower": _SIGLIP},
        sees=True,
    ),
    "lavida-dream": Form(
        layout=LLAMA,
        model_type="llava_dream",
        architecture="LlavaDreamForMaskedDiffusion",
        ids=DREAM_IDS,
        constants={**_DREAM_CONSTANTS, **_VISION_CONSTANTS, "mm_pooler_ratio": 2, "mm_vision_tower": _SIGLIP},
        sees=True,
        logit_shift=True,
        qkv_bias=True,
    ),
    "llada-v": Form(
        layout=LLAMA,
        model_type="llava_llada",
        architecture="LlavaLLaDAModelLM",
        ids=LLADA_IDS,
        constants={**_LLADA_V_CONSTANTS, **_VISION_CONSTANTS, "mm_vision_tower": _SIGLIP2},
        sees=True,
        names_mask=False,
        pools=False,
        banned=LLADA_V_BANNED,
    ),
    "mmada": Form(
        layout=LLADA,
        model_type="mmada",
        architecture="MMadaModelLM",
        ids=LLADA_IDS,
        constants={
            "auto_map": _LLADA_AUTO_MAP,  # as published: still that of LLaDA
            **_LLADA_CONSTANTS,
            "num_new_special_tokens": 0,
            "num_vq_tokens": 256,  # as published, and not what the model is used with
            "pretrained_model_path": "GSAI-ML/LLaDA-8B-Instruct",
            "tie_word_embeddings": False,
            "w_clip_vit": False,
        },
        codes=True,
    ),
}
# (model_type in small letters, layout) -> the families of the text-only and of the vision-language model. Either type
# may stand in the file of either: stage 1 brings the base model's.
FAMILIES = {
    (kind, layout.name): pair
    for layout, kinds, pair in (
        (LLADA, ("llada", "llava_llada"), ("llada", "lavida-llada")),
        (LLAMA, ("llada", "llava_llada"), ("llada", "llada-v")),  # LLaDA as LLaDA-V names it
        (LLAMA, ("dream", "llava_dream"), ("dream", "lavida-dream")),
        (LLADA, ("mmada",), ("mmada", "mmada")),
    )
    for kind in kinds
}


def find_form(family: str) -> Form:
    """Return how a family is published.

    Raises:
        CheckpointError: The family has no layout but our own.
    """
    if family not in FORMS:
        raise CheckpointError(f"{family} has no published layout but its own; only {', '.join(FORMS)} have another")
    return FORMS[family]
