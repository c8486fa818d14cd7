"""Published config.json files, read as our configuration and written from it.

`read_official` and `write_official` are each other's inverse, by the tables of `families`. Fields that our model does
not read are written as constants, because other programs look for them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from typing import Any

from lavida.checkpoint.families import (
    CODE_IDS,
    DENOISER_NAMES,
    FAMILIES,
    FIXED,
    FIXED_POOL,
    FIXED_VISION,
    FORMS,
    MMADA_FIRST,
    MMADA_IDS,
    REQUIRED,
    SO400M,
    TOWER_NAMES,
    Form,
    Names,
    find_form,
)
from lavida.checkpoint.layouts import LLADA, Layout
from lavida.config import MAX_PINPOINTS, CodesConfig, DenoiserConfig, TilesConfig, VisionConfig, VLMConfig, fits
from lavida.errors import CheckpointError


def read_official(
    data: dict[str, Any], tower: dict[str, Any] | None, layout: Layout, shapes: dict[str, tuple[int, ...]]
) -> VLMConfig:
    """Read a published config.json and vision_config.json; `shapes` are those of the tensors by our names.

    Raises:
        CheckpointError: A field is missing, of the wrong kind or not supported.
        ConfigError: A value is out of range.
    """
    sees = "projector.inner.weight" in shapes
    family = _families(data, layout)[sees]
    form = FORMS[family]
    _check_fixed(data, FIXED)
    try:
        denoiser = _read_denoiser(data, layout, form, shapes)
        if not sees:
            _check_text_only(data)
            codes = _read_codes(data, denoiser.vocab_size) if form.codes else None
            return VLMConfig(denoiser=denoiser, family=family, codes=codes)
        if form.codes:
            raise CheckpointError(f"the files hold a projector, and config.json is that of {family}, which has none")
        _check_fixed(data, FIXED_VISION)
        return VLMConfig(
            denoiser=denoiser,
            vision=read_tower(SO400M if not tower else tower, shapes),
            tiles=_read_tiles(data, pools=form.pools),
            projector_hidden=shapes["projector.inner.weight"][0],
            family=family,
        )
    except KeyError as error:
        raise CheckpointError(
            f"config.json lacks the field {error.args[0]!r}; take the file of the checkpoint"
        ) from None
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise CheckpointError(
            f"config.json has a field of the wrong kind ({error}); take the file of the checkpoint"
        ) from None


def write_official(config: VLMConfig) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the published config.json of a model, and its vision_config.json if the tower has no published name.

    Raises:
        CheckpointError: The family has no layout but our own.
    """
    form = find_form(config.family)
    data = {
        "architectures": [form.architecture],
        "model_type": form.model_type,
        **form.constants,
        **_write_fields(config.denoiser, DENOISER_NAMES[form.layout.name]),
        "vocab_size": config.denoiser.vocab_size,
        **_write_ids(config.denoiser, form),
        "torch_dtype": "bfloat16",
    }
    if form.layout is LLADA:
        data["embedding_size"] = config.denoiser.vocab_size
    if config.codes is not None:
        data |= _write_codes(config.codes, config.denoiser.vocab_size)
    if config.vision is None:
        return dict(sorted(data.items())), None
    data |= _write_tiles(config.tiles)
    data |= {"mm_hidden_size": config.vision.hidden_size, "tokenizer_model_max_length": config.denoiser.max_length}
    return dict(sorted(data.items())), _write_tower(config.vision)


def _families(data: dict[str, Any], layout: Layout) -> tuple[str, str]:
    kind = str(data.get("model_type") or "")
    if (kind.lower(), layout.name) in FAMILIES:
        return FAMILIES[kind.lower(), layout.name]
    known = sorted({name for name, _ in FAMILIES})
    if not kind:
        if layout is LLADA:  # no other model has such names
            return FAMILIES["llada", layout.name]
        raise CheckpointError(
            "config.json has no model_type, and the tensor names fit Dream and LLaDA-V alike; "
            f"write one of {', '.join(known)}"
        )
    if kind.lower() in known:
        raise CheckpointError(
            f"config.json says {kind} and the tensors have the names of {layout.name}; they do not belong together"
        )
    code = "; the code that it brings (auto_map) is never run" if data.get("auto_map") else ""
    raise CheckpointError(f"config.json has the unknown model_type {kind!r:.60}, not one of {', '.join(known)}{code}")


def _check_fixed(data: dict[str, Any], fixed: Mapping[str, tuple[Any, ...]]) -> None:
    for name, values in fixed.items():
        if data.get(name, values[0]) not in values:
            accepted = " or ".join(repr(v) for v in values)
            raise CheckpointError(f"config.json has {name} = {data[name]!r:.60}, and only {accepted} is supported")


def _check_text_only(data: dict[str, Any]) -> None:
    if data.get("mm_vision_tower"):
        raise CheckpointError(
            "config.json names a vision tower and no file holds the projector (model.mm_projector.*); "
            "put mm_projector.bin beside it, or take the config.json of the text-only model"
        )


def _read_fields(data: Mapping[str, Any], names: Names, config: type) -> dict[str, Any]:
    """Return the fields of `config` that a published file holds under other names. Raises KeyError or TypeError."""
    return {ours: _read(data, theirs, _kind(config, ours), default) for ours, (theirs, default) in names.items()}


def _write_fields(config: DenoiserConfig | VisionConfig, names: Names) -> dict[str, Any]:
    return {theirs: getattr(config, ours) for ours, (theirs, _) in names.items()}


def _kind(config: type, name: str) -> type:
    return {"int": int, "float": float, "bool": bool}[config.__annotations__[name]]


def _read(data: Mapping[str, Any], name: str, kind: type, default: Any = REQUIRED) -> Any:
    """Return a field, or its default where the file says nothing or null."""
    value = data.get(name)
    if value is None:
        if default is REQUIRED:
            raise KeyError(name)
        value = default(data) if callable(default) else default
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not fits(value, kind):
        raise TypeError(f"{name} is {value!r:.60} and should be of type {kind.__name__}")
    return float(value) if kind is float else value


def _read_denoiser(
    data: dict[str, Any], layout: Layout, form: Form, shapes: dict[str, tuple[int, ...]]
) -> DenoiserConfig:
    # Resized embeddings have other rows than config.json says.
    rows = shapes.get("denoiser.embedding.weight")
    vocab = rows[0] if rows else _read(data, "vocab_size", int)
    fields = _read_fields(data, DENOISER_NAMES[layout.name], DenoiserConfig)
    if "qkv_bias" not in fields:
        told = form.qkv_bias
        fields["qkv_bias"] = "denoiser.blocks.0.attn.q.bias" in shapes if told is None else told
    banned = _read(data, "suppress_standin_ids", tuple[int, ...], form.banned) if form.banned else ()
    return DenoiserConfig(
        vocab_size=vocab,
        logit_shift=form.logit_shift,
        banned_ids=tuple(i for i in banned if i < vocab),
        **fields,
        **_read_ids(data, form.ids, vocab),
    )


def _read_ids(data: dict[str, Any], constants: tuple[int, int, int], vocab: int) -> dict[str, Any]:
    mask, eos, turn = constants
    # `mask_standin_id` is how checkpoints with a tiny vocabulary say it where the official code has a constant.
    mask = _read(data, "mask_token_id", int, lambda data: _read(data, "mask_standin_id", int, mask))
    ends = eos if data.get("eos_token_id") is None else data["eos_token_id"]
    ends = list(ends) or [eos] if isinstance(ends, (list, tuple)) else [ends]
    if not fits(ends, tuple[int, ...]):
        raise TypeError(f"eos_token_id is {ends!r:.60}")
    if ends[0] == eos and turn < vocab and turn not in ends:
        ends.append(turn)
    return {"mask_id": mask, "eos_ids": tuple(ends)}


def _write_ids(denoiser: DenoiserConfig, form: Form) -> dict[str, Any]:
    mask, eos, turn = form.ids
    # The end of a turn is known to go with the official end of text, and is not written then.
    ends: Any = eos if denoiser.eos_ids == (eos, turn) else list(denoiser.eos_ids)
    ids = {"eos_token_id": ends}
    if form.names_mask or denoiser.mask_id != mask:
        ids |= {"mask_token_id": denoiser.mask_id, "pad_token_id": denoiser.eos_ids[0]}
    if denoiser.banned_ids and denoiser.banned_ids != form.banned:
        ids["suppress_standin_ids"] = list(denoiser.banned_ids)
    return ids


def _read_codes(data: dict[str, Any], vocab: int) -> CodesConfig:
    named = data.get("special_token_ids") or {}
    ids = {ours: _read(named, theirs, int, MMADA_IDS[theirs]) for ours, theirs in CODE_IDS.items()}
    first, count = _read(data, "text_tokenizer_length", int, MMADA_FIRST), _read(data, "codebook_size", int)
    if first + count > vocab:
        raise CheckpointError(
            f"config.json has codebook_size = {count}, and the model has rows for {max(0, vocab - first)} codes; "
            "take the file of the checkpoint"
        )
    return CodesConfig(first_id=first, count=count, **ids)


def _write_codes(codes: CodesConfig, vocab: int) -> dict[str, Any]:
    """Return the fields of MMaDA; its ids are written where they are not the official ones."""
    data: dict[str, Any] = {
        "codebook_size": codes.count,
        "new_vocab_size": vocab,
        "llm_vocab_size": vocab - codes.count,
    }
    ids = {theirs: getattr(codes, ours) for ours, theirs in CODE_IDS.items()}
    if codes.first_id != MMADA_FIRST or ids != MMADA_IDS:
        data |= {"text_tokenizer_length": codes.first_id, "special_token_ids": ids}
    return data


def read_tower(tower: Mapping[str, Any], names: Collection[str]) -> VisionConfig:
    """Read the config.json of a SigLIP; `names` are those of the tensors, by which its layers are counted.

    Raises KeyError, TypeError, ValueError or ConfigError for a value that cannot be used.
    """
    fields = _read_fields(tower, TOWER_NAMES, VisionConfig)
    layers = {m[1] for name in names if (m := re.match(r"tower\.encoder\.layers\.(\d+)\.", name))}
    # The last layer of the tower is not run, and most checkpoints do not hold it.
    run = fields.pop("n_layers") - 1
    if fields["patch_size"] < 1:
        raise ValueError(f"patch_size is {fields['patch_size']}")
    cells = fields["image_size"] // fields["patch_size"]
    return VisionConfig(kind="siglip", cells=cells, n_layers=min(len(layers), run) or run, **fields)


def _write_tower(vision: VisionConfig) -> dict[str, Any] | None:
    sizes = _write_fields(vision, TOWER_NAMES)
    sizes["num_hidden_layers"] += 1  # with the last one, which is not run
    if sizes == SO400M:
        return None
    return {"model_type": "siglip_vision_model", "hidden_act": "gelu_pytorch_tanh", "num_channels": 3, **sizes}


def _read_tiles(data: dict[str, Any], *, pools: bool) -> TilesConfig:
    aspect = str(data.get("image_aspect_ratio") or "square")
    kind = re.fullmatch(r"(square|pad)|anyres(?:_max_(\d{1,9}))?", aspect)
    if not kind:
        raise CheckpointError(
            f"config.json has image_aspect_ratio = {aspect!r:.60}, "
            "and only square, pad, anyres and anyres_max_N are supported"
        )
    tiled, unpad = kind[1] is None, data.get("mm_patch_merge_type") == "spatial_unpad"
    if tiled and not unpad:
        raise CheckpointError("config.json tiles pictures and merges them flat; only spatial_unpad is supported")
    pool = pools and tiled  # the low-resolution and stage-1 models keep the 729 cells of their one view
    _check_fixed(data, FIXED_POOL if pool else {})
    return TilesConfig(
        pinpoints=_read_pinpoints(data.get("image_grid_pinpoints")) if tiled else (),
        square=aspect == "pad",
        pool=pool,
        unpad=unpad,
        max_tiles=int(kind[2] or 0),
    )


def _write_tiles(tiles: TilesConfig) -> dict[str, Any]:
    whole, tiled = "pad" if tiles.square else "square", f"anyres_max_{tiles.max_tiles}" if tiles.max_tiles else "anyres"
    return {
        "image_aspect_ratio": tiled if tiles.pinpoints else whole,
        "image_grid_pinpoints": [list(pair) for pair in tiles.pinpoints] or None,
        "mm_patch_merge_type": "spatial_unpad" if tiles.unpad else "flat",
    }


def _read_pinpoints(value: Any) -> tuple[tuple[int, int], ...]:
    """Read a list of pairs, the same as text, or "(1x1),...,(6x6)" in views of 384 pixels."""
    text = value if isinstance(value, str) else ""
    span = re.fullmatch(r"\((\d{1,4})x(\d{1,4})\),\.\.\.,\((\d{1,4})x(\d{1,4})\)", text)
    if span:
        a, b, c, d = (int(n) for n in span.groups())
        if (c - a + 1) * (d - b + 1) <= MAX_PINPOINTS:
            return tuple((i * 384, j * 384) for i in range(a, c + 1) for j in range(b, d + 1))
    try:
        pairs = ast.literal_eval(text) if text else value
        return tuple((int(w), int(h)) for w, h in pairs)
    except (TypeError, ValueError, SyntaxError, OverflowError, RecursionError, MemoryError):
        raise CheckpointError(
            f"config.json has image_grid_pinpoints = {value!r:.60}; give (width, height) pairs"
        ) from None
