"""What a model is made of: small frozen dataclasses, written to and read from `config.json`.

Differences between LLaDA, Dream and lavida-mini are values here, not branches in the code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lavida.errors import ConfigError

# Ours, the published vision-language models, and the text-only models under them. LaViDa's infilling, reasoning,
# low-resolution and stage-1 checkpoints are `lavida-llada` or `lavida-dream`: they differ in their values only.
FAMILIES = ("lavida-mini", "lavida-llada", "lavida-dream", "llada-v", "llada", "dream")


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The transformer (LLaDA block; Dream adds q/k/v biases and shifted logits), bidirectional but for the baseline."""

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
    autoregressive: bool = False  # the baseline: a token sees those before it, text is written left to right
    banned_ids: tuple[int, ...] = ()  # never written into an answer (LLaDA-V: end of text and headers)
    max_length: int = 4096

    def __post_init__(self) -> None:
        object.__setattr__(self, "eos_ids", tuple(self.eos_ids))
        object.__setattr__(self, "banned_ids", tuple(self.banned_ids))
        for name in ("vocab_size", "d_model", "n_layers", "n_heads", "n_kv_heads", "mlp_size", "max_length"):
            _require(getattr(self, name) >= 1, f"denoiser.{name} must be at least 1, got {getattr(self, name)}")
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
        _require(bool(self.eos_ids), "denoiser.eos_ids must name at least one token id")
        for i in (self.mask_id, *self.eos_ids, *self.banned_ids):
            _require(0 <= i < self.vocab_size, f"token id {i} lies outside the vocabulary of {self.vocab_size}")

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """The vision tower; `kind` is "siglip" or "efficientnet-lite0"."""

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


@dataclass(frozen=True, kw_only=True)
class TilesConfig:
    """How a picture becomes views and views become tokens (sections 1.1 and 1.3 of the LaViDa code)."""

    pinpoints: tuple[tuple[int, int], ...] = ()  # (width, height) candidates; () = the global view only
    keep_aspect: bool = True  # False: the picture is stretched onto the pinpoint
    square: bool = False  # the global view is the picture on a grey square, not squashed into one
    pool: bool = True  # bilinear, stride 2, after the projector
    unpad: bool = True  # "spatial_unpad": cut padding, end each row of the tile map with the newline vector
    max_tiles: int = 0  # anyres_max_N: shrink the tile map when it exceeds N views; 0 = never
    positions: bool = False  # add a learned position to each cell (lavida-mini)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pinpoints", tuple((int(w), int(h)) for w, h in self.pinpoints))


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Describe the evidence of small frozen parts that enters beside the image tokens (lavida-mini)."""

    classes: int  # of the tower's own classifier
    things: int  # classes of the detector
    boxes: int  # boxes of one picture that get a token each

    def __post_init__(self) -> None:
        """Check that each number is positive."""
        for name in ("classes", "things", "boxes"):
            _require(getattr(self, name) >= 1, f"evidence.{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class VLMConfig:
    """A whole vision-language model; `vision` is None for a text-only one."""

    denoiser: DenoiserConfig
    vision: VisionConfig | None = None
    tiles: TilesConfig = field(default_factory=TilesConfig)
    projector_hidden: int = 0  # 0: as wide as the denoiser
    projector_norm: bool = False  # image tokens of the same length as word embeddings (lavida-mini)
    family: str = "lavida-mini"
    evidence: EvidenceConfig | None = None  # None: the image tokens alone
    shared_image: bool = False  # the image does not see the prompt: one image prefix serves every question

    def __post_init__(self) -> None:
        _require(self.family in FAMILIES, f"unknown family {self.family!r}; choose one of {', '.join(FAMILIES)}")

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary; `from_json` gives the same configuration back."""
        return {"model_type": "lavida", **asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> VLMConfig:
        """Read `to_json`'s dictionary. Raises ConfigError for an unknown or missing field."""
        data = {k: v for k, v in data.items() if k != "model_type"}
        parts = {"denoiser": DenoiserConfig, "vision": VisionConfig, "tiles": TilesConfig, "evidence": EvidenceConfig}
        for name, part in parts.items():
            if data.get(name) is not None:
                data[name] = _build(part, data[name], f"{name}.")
        return _build(cls, data, "")


def _build(cls: type, data: dict[str, Any], prefix: str) -> Any:
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(data) - known)
    _require(not unknown, f"config.json has an unknown field {prefix}{unknown[0] if unknown else ''}; remove it")
    try:
        return cls(**data)
    except TypeError as error:
        raise ConfigError(f"config.json: {prefix.rstrip('.') or 'model'} lacks a field ({error})") from None
