"""lavida-mini's own training as a task: packed rows of questions, a dense loss on the tower's cells, in stages."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lavida.checkpoint.io import load_checkpoint
from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.errors import CheckpointError, ConfigError, DataError
from lavida.model.efficientnet import EfficientNetLite0
from lavida.model.vlm import VLM
from lavida.text.tokenizer import Tokenizer
from lavida.train.task import Group, Micro, Outcome
from mini.train.batches import BatchBuilder, CellVocabulary, SceneBatch, Views
from mini.train.losses import Heads, LossFigures, batch_loss, views_loss
from mini.train.objectives import adapt_config
from mini.train.stages import Stage


def mini_config(tokenizer: Tokenizer) -> VLMConfig:
    """Return lavida-mini's configuration: six LLaDA blocks of width 384 behind EfficientNet-Lite0, five views."""
    return VLMConfig(
        denoiser=DenoiserConfig(
            vocab_size=tokenizer.size, d_model=384, n_layers=6, n_heads=6, n_kv_heads=6, mlp_size=1024,
            mask_id=tokenizer.mask_id, eos_ids=(tokenizer.eos_id,), tied_head=True, max_length=512,
        ),
        vision=VisionConfig(
            kind="efficientnet-lite0", hidden_size=320, image_size=224, cells=7, mean=127 / 255, std=128 / 255
        ),
        tiles=TilesConfig(pinpoints=((448, 448),), keep_aspect=False, positions=True),
        projector_hidden=768,
        projector_norm=True,
        shared_image=True,
    )  # fmt: skip


def init_matching_heads(vlm: VLM, g: torch.Generator, *, layers: int = 2, heads: int = 2, gain: float = 2.0) -> None:
    """Initialise some heads to attend to the positions that hold the same word.

    Their rows of q and k are equal on the slowly turning half of the rotary pairs, so equal embeddings score high at
    any distance: the circuit that presence, colour and relations need, and that training alone finds late.
    """
    config = vlm.denoiser.config
    size, half = config.head_dim, config.head_dim // 4
    with torch.no_grad():
        for block in vlm.denoiser.blocks[:layers]:
            for h in range(heads):
                pairs = [h * size + i for i in range(size)]
                fast = pairs[:half] + pairs[2 * half : 3 * half]
                slow = [i for i in pairs if i not in fast]
                basis = torch.linalg.qr(torch.randn(config.d_model, len(slow), generator=g))[0].T * gain**0.5
                for weight in (block.attn.q.weight, block.attn.k.weight):
                    weight[slow] = basis
                    weight[fast] *= 0.1


class MiniLearner(nn.Module):
    """Join the model with the heads that only its training needs."""

    def __init__(self, vlm: VLM) -> None:
        super().__init__()
        self.vlm, self.heads = vlm, Heads(vlm.config.denoiser.d_model)

    def forward(
        self, batch: SceneBatch | None, views: Views | None, vocabulary: CellVocabulary
    ) -> tuple[Tensor, LossFigures]:
        """Compute the loss of a batch, or of views alone."""
        if batch is not None:
            return batch_loss(self.vlm, self.heads, batch, views)
        return views_loss(self.vlm, self.heads, views, vocabulary)


class MiniTask:
    """Train lavida-mini as a `Task`.

    Everything random comes from its two generators and, for the dense loss, from PyTorch's own.
    """

    def __init__(
        self,
        builder: BatchBuilder,
        tokenizer: Tokenizer,
        tower: EfficientNetLite0,
        stages: Sequence[Stage],
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.builder, self.stages, self.device = builder, tuple(stages), device
        self.plans = [stage.plan for stage in self.stages]
        self.rng, self.g = random.Random(seed), torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        vlm = VLM(adapt_config(mini_config(tokenizer), builder.objective))
        vlm.reset(self.g)
        init_matching_heads(vlm, self.g)
        tower.adapt()
        vlm.tower = tower.float()  # its trunk has run already: the maps are on disk
        self.trained = {name for name, p in vlm.named_parameters() if p.requires_grad}
        self.module = MiniLearner(vlm).to(device)
        self.vlm = vlm
        self.vocabulary = builder.vocabulary.to(device)
        self.stage = self.stages[0]

    def begin(self, stage: int, *, fresh: bool) -> list[Group]:
        """Return rates by part: matrices of the blocks by Muon, the rest by AdamW."""
        self.stage = now = self.stages[stage]
        for name, p in self.vlm.named_parameters():
            if name.startswith("tower"):
                p.requires_grad_(now.tower > 0 and name in self.trained)
            else:
                p.requires_grad_(now.rows > 0 or name.startswith("projector"))
        if now.name == "align" and fresh:
            self._centre_features()
        factors = {
            "muon": now.muon, "embedding": now.embedding, "projector": now.projector, "tower": now.tower, "other": 1.5
        }  # fmt: skip
        parts: dict[str, list[nn.Parameter]] = {name: [] for name in factors}
        for name, p in [*self.vlm.named_parameters(), *self.module.heads.named_parameters()]:
            if not p.requires_grad:
                continue
            if name.startswith("denoiser.blocks") and p.dim() == 2:
                parts["muon"].append(p)
            else:
                parts[next((k for k in ("embedding", "projector", "tower") if k in name), "other")].append(p)
        return [
            Group(name=name, parameters=parameters, rate=now.rate * factors[name], muon=name == "muon")
            for name, parameters in parts.items()
            if parameters
        ]

    def batch(self, step: int) -> Micro:
        """Return packed rows, or single views where a stage has no rows."""
        now = self.stage
        views = self.builder.views(now.views, self.rng)
        views = views.to(self.device) if views is not None else None
        if now.rows:
            low, high = now.symbolic
            share = low + (high - low) * step / now.steps
            batch = self.builder.batch(now.rows, self.rng, self.g, symbolic=share, photos=now.photos).to(self.device)
            return Micro(data=(batch, views), weight=1.0, samples=batch.packed.questions)
        if views is None:
            raise DataError("the projector cannot be aligned without drawn scenes; run `python -m mini build`")
        return Micro(data=(None, views), weight=1.0, samples=now.views)

    def loss(self, data: tuple[SceneBatch | None, Views | None]) -> Outcome:
        """Run the forward pass of a micro-batch."""
        loss, figures = self.module(*data, self.vocabulary)
        logged = {name: value for name, value in asdict(figures).items() if name != "questions"}
        return Outcome(loss=loss, figures=logged)

    def evaluate(self) -> dict[str, Any]:
        """Return nothing: `python -m mini eval scenes` has the held-out sets."""
        return {}

    def skipped(self) -> list[tuple[str, str]]:
        """Return nothing: no sample is left out."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the generators and the objective."""
        version, numbers, gauss = self.rng.getstate()
        objective = self.builder.objective.to_dict()
        return {"g": self.g.get_state(), "rng": [version, list(numbers), gauss], "objective": objective}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state. Raises ConfigError if it is of another objective."""
        if state["objective"] != self.builder.objective.to_dict():
            raise ConfigError("the run was begun with another objective; go on with the same, or take another folder")
        version, numbers, gauss = state["rng"]
        self.g.set_state(state["g"])
        self.rng.setstate((version, tuple(numbers), gauss))

    def start_from(self, folder: Path) -> None:
        """Take the weights of a model folder of any objective. Raises CheckpointError if it has another shape."""
        other, config = load_checkpoint(folder, dtype=torch.float32)
        if adapt_config(config, self.builder.objective) != self.vlm.config:
            raise CheckpointError(f"{folder} is not of this recipe's shape; start from lavida-mini or one like it")
        weights = other.state_dict()
        if other.tower.adapted is None:  # a model from before its tower was finetuned
            weights |= {k: v for k, v in self.vlm.state_dict().items() if k.startswith("tower.adapted.")}
        self.vlm.load_state_dict(weights)

    @torch.no_grad()
    def _centre_features(self) -> None:
        """Fold the mean and spread of the tower's channels into the projector's first layer."""
        views = self.builder.views(400, random.Random(0))
        if views is None:
            return
        features = self.vlm.tower.features(views.maps.to(self.device).float()).flatten(0, 1)
        mean, spread = features.mean(0), features.std(0) + 0.05
        inner = self.vlm.projector.inner
        inner.bias.sub_(inner.weight @ (mean / spread))
        inner.weight.div_(spread)
