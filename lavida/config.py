"""Configurations of a model: small frozen dataclasses, written to and read from `config.json`.

Differences between LLaDA, Dream and lavida-mini are values here, not branches in the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, get_type_hints

from lavida.errors import ConfigError

Config = TypeVar("Config")

LARGEST = 2**31 - 1  # of any whole number in a configuration
MAX_LAYERS = 4096
MAX_WIDTH = 2**20  # channels, heads, pixels along a side
MAX_PINPOINTS = 4096


@dataclass(frozen=True, kw_only=True)
class Family:
    """Describe what all models of a family have in common and no field of `config.json` says."""

    spaced_words: bool = False  # the tokenizer reads every text as if a space stood before it
    any_shape: bool = True  # pictures may be tiny, or very long and thin
    two_languages: bool = False  # taught English and Chinese: a dialogue without Chinese is answered without it
    float32: bool = False  # stored in half precision to be small, and computed in float32
    whole_noise: bool = False  # the official code draws noise for the prompt and for what is written already, too


# Ours, the published vision-language models, and the text-only models under them. LaViDa's infilling, reasoning,
# low-resolution and stage-1 checkpoints are `lavida-llada` or `lavida-dream`: they differ in their values only.
FAMILIES = {
    "lavida-mini": Family(spaced_words=True, any_shape=False, two_languages=True, float32=True),
    "lavida-llada": Family(),
    "lavida-dream": Family(),
    "llada-v": Family(),
    "llada": Family(),
    "dream": Family(),
    "mmada": Family(whole_noise=True),
}


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(message)


def _require_between(config: object, prefix: str, low: int, high: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(low <= value <= high, f"{prefix}{name} must be at least {low} and at most {high}, got {value}")


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Configure the transformer: the LLaDA block, to which Dream adds q/k/v biases and shifted logits.

    It is bidirectional, except for the autoregressive baseline.
    """

    vocab_size: int  # rows of the embedding, padding rows included
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    mlp_size: int
    mask_id: int
    eos_ids: tuple[int, ...]  # the first one pads the canvas
    norm_eps: float = 1e-5
    rope_theta: float = 500_000.0
    qkv_bias: bool = False
    tied_head: bool = False
    logit_shift: bool = False  # Dream: row i predicts token i + 1
    autoregressive: bool = False  # the baseline: causal attention, text is written left to right
    banned_ids: tuple[int, ...] = ()  # never written into an answer (LLaDA-V: end of text and headers)
    max_length: int = 4096

    def __post_init__(self) -> None:
        object.__setattr__(self, "eos_ids", tuple(self.eos_ids))
        object.__setattr__(self, "banned_ids", tuple(self.banned_ids))
        _require_between(self, "denoiser.", 1, LARGEST, "vocab_size", "max_length")
        _require_between(self, "denoiser.", 1, MAX_WIDTH, "d_model", "n_heads", "n_kv_heads", "mlp_size")
        _require_between(self, "denoiser.", 1, MAX_LAYERS, "n_layers")
        _require(
            self.d_model % self.n_heads == 0, f"denoiser.n_heads ({self.n_heads}) must divide d_model ({self.d_model})"
        )
        _require(
            self.n_heads % self.n_kv_heads == 0,
            f"denoiser.n_kv_heads ({self.n_kv_heads}) must divide n_heads ({self.n_heads})",
        )
        _require(
            self.logit_shift or not self.autoregressive,
            "an autoregressive denoiser predicts the next token; set denoiser.logit_shift too",
        )
        _require(
            self.head_dim % 2 == 0, f"the heads of the denoiser have {self.head_dim} channels; an even number is due"
        )
        _require(0 <= self.norm_eps < 1e30, f"denoiser.norm_eps must not be negative, got {self.norm_eps}")
        _require(0 < self.rope_theta < 1e30, f"denoiser.rope_theta must be above 0, got {self.rope_theta}")
        _require(bool(self.eos_ids), "denoiser.eos_ids must name at least one token id")
        for i in (self.mask_id, *self.eos_ids, *self.banned_ids):
            _require(0 <= i < self.vocab_size, f"token id {i} lies outside the vocabulary of {self.vocab_size}")

    @property
    def head_dim(self) -> int:
        """Return the channels of one attention head."""
        return self.d_model // self.n_heads


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """Configure the vision tower; `kind` is "siglip" or "efficientnet-lite0"."""

    kind: str
    hidden_size: int  # channels of one feature cell
    image_size: int  # side of one view, pixels
    cells: int  # feature cells along one side of a view
    n_layers: int = 0  # SigLIP only: encoder layers that are run
    n_heads: int = 0
    mlp_size: int = 0
    patch_size: int = 0
    norm_eps: float = 1e-6
    mean: float = 0.5  # pixel value = (u8 / 255 - mean) / std
    std: float = 0.5

    def __post_init__(self) -> None:
        kinds = ("siglip", "efficientnet-lite0")
        _require(self.kind in kinds, f"vision.kind must be one of {', '.join(kinds)}, got {self.kind!r}")
        _require_between(self, "vision.", 1, MAX_WIDTH, "hidden_size", "image_size", "cells")
        _require(self.cells <= self.image_size, f"vision.cells must be at most image_size, got {self.cells}")
        _require(0 < self.std < 1e30, f"vision.std must be above 0, got {self.std}")
        _require(abs(self.mean) < 1e30, f"vision.mean must be a finite number, got {self.mean}")
        if self.kind == "siglip":
            self._check_siglip()

    def _check_siglip(self) -> None:
        _require_between(self, "vision.", 1, MAX_WIDTH, "n_heads", "mlp_size", "patch_size")
        _require_between(self, "vision.", 1, MAX_LAYERS, "n_layers")
        _require(0 <= self.norm_eps < 1e30, f"vision.norm_eps must not be negative, got {self.norm_eps}")
        _require(
            self.hidden_size % self.n_heads == 0,
            f"vision.n_heads ({self.n_heads}) must divide hidden_size ({self.hidden_size})",
        )
        _require(
            self.cells == self.image_size // self.patch_size,
            f"vision.cells must be image_size // patch_size ({self.image_size} // {self.patch_size}), got {self.cells}",
        )


@dataclass(frozen=True, kw_only=True)
class TilesConfig:
    """Configure how a picture becomes views and views become tokens (sections 1.1 and 1.3 of the LaViDa code)."""

    pinpoints: tuple[tuple[int, int], ...] = ()  # (width, height) candidates; () = the global view only
    keep_aspect: bool = True  # False: the picture is stretched onto the pinpoint
    square: bool = False  # the global view is the picture on a grey square, not squashed into one
    pool: bool = True  # bilinear, stride 2, after the projector
    unpad: bool = True  # "spatial_unpad": cut padding, end each row of the tile map with the newline vector
    max_tiles: int = 0  # anyres_max_N: shrink the tile map when it exceeds N views; 0 = never
    positions: bool = False  # add a learned position to each cell (lavida-mini)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pinpoints", tuple((int(w), int(h)) for w, h in self.pinpoints))
        _require(len(self.pinpoints) <= MAX_PINPOINTS, f"tiles.pinpoints has more than {MAX_PINPOINTS} entries")
        ok = all(1 <= side <= MAX_WIDTH for pair in self.pinpoints for side in pair)
        _require(ok, f"tiles.pinpoints holds a side that is not between 1 and {MAX_WIDTH}")
        _require_between(self, "tiles.", 0, LARGEST, "max_tiles")


@dataclass(frozen=True, kw_only=True)
class CodesConfig:
    """Describe pictures as tokens (MMaDA): code c of an image tokenizer has the id `first_id` + c."""

    first_id: int
    count: int  # codes
    start_id: int  # begins a text
    begin_id: int  # stands before the codes of a picture
    end_id: int  # stands behind them
    read_id: int  # begins a sequence that shows a picture
    draw_id: int  # begins a sequence that ends in a picture to draw
    reason_id: int  # the same, where the text reasons about the picture first
    pad_id: int  # fills up texts on the left in training

    def __post_init__(self) -> None:
        _require_between(self, "codes.", 1, LARGEST, "count")
        ids = ("start_id", "begin_id", "end_id", "read_id", "draw_id", "reason_id", "pad_id")
        _require_between(self, "codes.", 0, LARGEST, "first_id", *ids)

    @property
    def span(self) -> tuple[int, int]:
        """Return the ids of the codes, from the first to behind the last."""
        return self.first_id, self.first_id + self.count


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Describe the evidence of small frozen parts that enters beside the image tokens (lavida-mini)."""

    classes: int  # of the tower's own classifier
    things: int  # classes of the detector
    boxes: int  # boxes of one picture that get a token each
    names: int = 0  # names that are looked up in the evidence where a prompt holds them; 0 = none are

    def __post_init__(self) -> None:
        """Check that each number is positive."""
        for name in ("classes", "things", "boxes"):
            _require(getattr(self, name) >= 1, f"evidence.{name} must be at least 1, got {getattr(self, name)}")
        _require(self.names >= 0, f"evidence.names must be at least 0, got {self.names}")


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """Say how much of a picture's read text enters the prompt, and in which form (lavida-mini)."""

    texts: int = 4  # at most; of more the largest are kept
    tokens: int = 10  # of each text
    room: int = 44  # of all texts together
    lines: bool = False  # texts in quotes as in JSON, those of one line side by side behind one place

    def __post_init__(self) -> None:
        _require_between(self, "reading.", 1, 512, "texts", "tokens", "room")


@dataclass(frozen=True, kw_only=True)
class VLMConfig:
    """Configure a whole vision-language model; without `vision` and `codes` it reads text only."""

    denoiser: DenoiserConfig
    vision: VisionConfig | None = None
    tiles: TilesConfig = field(default_factory=TilesConfig)
    projector_hidden: int = 0  # 0: as wide as the denoiser
    projector_norm: bool = False  # image tokens of the same length as word embeddings (lavida-mini)
    family: str = "lavida-mini"
    evidence: EvidenceConfig | None = None  # None: the image tokens alone
    shared_image: bool = False  # the image does not see the prompt: one image prefix serves every question
    codes: CodesConfig | None = None  # pictures are tokens, read and written like words
    reading: ReadingConfig = field(default_factory=ReadingConfig)  # of a model with evidence

    def __post_init__(self) -> None:
        _require(self.family in FAMILIES, f"unknown family {self.family!r}; choose one of {', '.join(FAMILIES)}")
        _require_between(self, "", 0, MAX_WIDTH, "projector_hidden")
        if self.vision is not None:
            side = self.vision.image_size
            small = [pair for pair in self.tiles.pinpoints if min(pair) < side]
            _require(not small, f"tiles.pinpoints holds {small[:1]}, smaller than a view of {side} x {side} pixels")
        if self.codes is not None:
            _require(self.vision is None, "a model has a vision tower or reads pictures as codes, not both")
            held, vocab = asdict(self.codes), self.denoiser.vocab_size
            for i in (self.codes.span[1] - 1, *(value for name, value in held.items() if name.endswith("_id"))):
                _require(i < vocab, f"codes: token id {i} lies outside the vocabulary of {vocab}")

    @property
    def reads_pictures(self) -> bool:
        """Return whether pictures can be shown to the model."""
        return self.vision is not None or self.codes is not None

    @property
    def traits(self) -> Family:
        """Return what all models of this family have in common."""
        return FAMILIES[self.family]

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary; `from_json` gives the same configuration back."""
        return {"model_type": "lavida", **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> VLMConfig:
        """Read the dictionary of `to_json`.

        Raises:
            ConfigError: A field is unknown, missing, of the wrong kind or out of range.
        """
        data = {k: v for k, v in data.items() if k != "model_type"}
        parts = {"denoiser": DenoiserConfig, "vision": VisionConfig, "tiles": TilesConfig}
        parts |= {"evidence": EvidenceConfig, "codes": CodesConfig, "reading": ReadingConfig}
        for name, part in parts.items():
            if data.get(name) is not None:
                data[name] = _build(part, data[name], f"{name}.")
        return _build(cls, data, "")


def _build(cls: type[Config], data: Any, prefix: str) -> Config:
    _require(isinstance(data, Mapping), f"config.json: {prefix.rstrip('.')} must be an object, got {data!r:.40}")
    hints = get_type_hints(cls)
    unknown = sorted(map(str, set(data) - set(hints)))
    _require(not unknown, f"config.json has an unknown field {prefix}{unknown[0] if unknown else ''}; remove it")
    for name, value in data.items():
        _require(fits(value, hints[name]), f"config.json: {prefix}{name} is of the wrong kind, got {value!r:.40}")
    data = {name: float(value) if hints[name] is float else value for name, value in data.items()}
    try:
        return cls(**data)
    except TypeError as error:
        raise ConfigError(f"config.json: {prefix.rstrip('.') or 'model'} lacks a field ({error})") from None


def fits(value: Any, kind: Any) -> bool:
    """Return whether a JSON value can be a field of this type; nested configurations have been built already."""
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    if kind == tuple[int, ...]:
        return isinstance(value, (list, tuple)) and all(fits(one, int) for one in value)
    if kind == tuple[tuple[int, int], ...]:
        pairs = isinstance(value, (list, tuple)) and all(fits(pair, tuple[int, ...]) for pair in value)
        return pairs and all(len(pair) == 2 for pair in value)
    return isinstance(value, kind)
