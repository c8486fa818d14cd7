"""Low-rank adapters (arXiv 2106.09685) through peft, in its file layout; on a quantized base this is QLoRA's training.

vlm, _ = load_checkpoint(folder, dtype=torch.bfloat16, quantize="int4")  # or dense
adapted = add_adapters(vlm, Lora(rank=16))  # vlm is trained from here on
save_adapters(adapted, out)  # adapter_config.json, adapter_model.safetensors
vlm = merge_adapters(load_adapters(dense, out))  # a model like any other
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lavida.checkpoint.adapters import CONFIG, WEIGHTS
from lavida.errors import CheckpointError, ConfigError
from lavida.model.packing import unpack_products
from lavida.model.placement import is_as_trained
from lavida.model.vlm import VLM
from lavida.nn.quant import QuantLinear

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

LAYERS = ("q", "k", "v", "out", "gate", "up", "down")  # the linear layers of the denoiser's blocks
PREFIX = "base_model.model.net."  # of peft, and of the model as transformers has it


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Adapters: W x becomes W x + (alpha / rank) B A x in each of `layers` of each block of the denoiser."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    layers: tuple[str, ...] = LAYERS

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if self.rank < 1:
            raise ConfigError(f"lora.rank must be at least 1, got {self.rank}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"lora.dropout must be at least 0 and below 1, got {self.dropout}")
        unknown = [name for name in self.layers if name not in LAYERS]
        if unknown or not self.layers:
            raise ConfigError(f"lora.layers must be some of {', '.join(LAYERS)}, got {', '.join(unknown) or 'none'}")


def add_adapters(vlm: VLM, lora: Lora) -> PeftModel:
    """Put adapters in `vlm`, in place: they are trained and all else is frozen; at first they change nothing.

    Raises:
        ConfigError: peft is not installed.
    """
    peft = _peft()
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf"(.*\.)?denoiser\.blocks\.\d+\.(attn|mlp)\.({'|'.join(lora.layers)})",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Unsupported layer type")  # ours are, by the line below
        return peft.get_peft_model(_Holder(unpack_products(vlm)), _with_quantized(config))


class _Holder(nn.Module):
    """Hold the network under its name within the model of transformers, so that peft's files fit both."""

    def __init__(self, net: VLM) -> None:
        super().__init__()
        self.net = net


def save_adapters(
    adapted: PeftModel, folder: Path, *, base: str | None = None, weights: dict[str, Tensor] | None = None
) -> None:
    """Write the adapters alone.

    Args:
        adapted: The model with adapters.
        folder: A new or old folder.
        base: The name or folder of the model under them, by which `--model FOLDER` finds it again.
        weights: All weights of a sharded model by peft's names (`PREFIX`).
    """
    adapted.peft_config["default"].base_model_name_or_path = base
    # "auto" would ask the network for the size of the base model's embedding.
    adapted.save_pretrained(str(folder), save_embedding_layers=False, state_dict=weights)


def load_adapters(vlm: VLM, folder: Path, *, trainable: bool = False) -> PeftModel:
    """Put the adapters of a folder in `vlm`, in place. Raises CheckpointError if they do not fit or cannot be read."""
    peft = _peft()
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder} has no {CONFIG} and {WEIGHTS}; name a folder that peft wrote")
    try:
        kind = json.loads((folder / CONFIG).read_text())["peft_type"]
        if kind != "LORA":
            raise ValueError(f"they are of type {kind}, not LORA")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unsupported layer type")
            warnings.filterwarnings("error", message="Found missing adapter keys")
            config = _with_quantized(peft.LoraConfig.from_pretrained(str(folder)))
            held = _Holder(unpack_products(vlm))
            return peft.PeftModel.from_pretrained(held, str(folder), config=config, is_trainable=trainable)
    except Exception as error:  # peft and safetensors raise many types
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"the adapters in {folder} cannot be put in this model ({reason})") from None


def merge_adapters(adapted: PeftModel) -> VLM:
    """Add the adapters to the weights and return the model without them. Raises CheckpointError for a quantized one."""
    vlm = adapted.get_base_model().net
    if not is_as_trained(vlm):
        raise CheckpointError("adapters cannot be merged into packed weights; load the model without quantize first")
    return adapted.merge_and_unload().net


def _with_quantized(config: LoraConfig) -> LoraConfig:
    """Register peft's adapter of a dense layer for ours of 8 and 4 bits: it calls them and adds to their output."""
    from peft.tuners.lora import Linear

    config._register_custom_module({QuantLinear: Linear})
    return config


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise ConfigError("adapters need peft; install lavida[lora]") from None
    return peft
