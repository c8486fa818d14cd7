"""The training loop: stages in order, a log line every few steps, a checkpoint that any moment can be resumed from.

lavida train mini --data build/mini --out runs/mini                # one CPU
lavida train mini --data build/mini --out runs/mini --device cuda  # one GPU
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from lavida.checkpoint.io import load_checkpoint
from lavida.config import DenoiserConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.errors import CheckpointError, DataError
from lavida.model.efficientnet import EfficientNetLite0
from lavida.model.vlm import VLM
from lavida.text.tokenizer import Tokenizer
from lavida.train.optim import Optimizers
from lavida.train.rows import Feed
from lavida.train.stages import Stage
from lavida.train.step import Heads, Losses, dense_only_step, train_step

STATE, PART_BYTES = "state", 15_000_000


def mini_config(tokenizer: Tokenizer) -> VLMConfig:
    """lavida-mini: six LLaDA blocks of width 384 behind EfficientNet-Lite0, five views of 4 x 4 tokens."""
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


def start_matching(vlm: VLM, g: torch.Generator, *, layers: int = 2, heads: int = 2, gain: float = 2.0) -> None:
    """Let some heads begin by attending to the positions that hold the same word.

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


class Trainer:
    """A model in training with all that a resumed run needs to go on as if it had never stopped."""

    def __init__(
        self,
        feed: Feed,
        tokenizer: Tokenizer,
        tower: EfficientNetLite0,
        out: Path,
        *,
        seed: int = 0,
        device: str = "cpu",
        compiled: bool = False,
    ) -> None:
        self.feed, self.out, self.device = feed, out, device
        self.rng, self.g = random.Random(seed), torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.vlm = VLM(mini_config(tokenizer))
        self.vlm.reset(self.g)
        start_matching(self.vlm, self.g)
        tower.adapt()
        self.vlm.tower = tower.float()  # its trunk has run already: the maps are on disk
        self.trained = {name for name, p in self.vlm.named_parameters() if p.requires_grad}
        self.heads = Heads(self.vlm.config.denoiser.d_model)
        self.vlm.to(device).train()
        self.heads.to(device)
        for block in self.vlm.denoiser.blocks if compiled else ():
            block.compile()
        self.stage, self.step, self.questions = 0, 0, 0
        self._saved: list[dict] | None = None

    def run(
        self, stages: Sequence[Stage], *, minutes: float = float("inf"), say: Callable[[str], None] = print
    ) -> bool:
        """Train until the last stage ends (True) or the minutes are over (False); a checkpoint is left in any case."""
        end = time.monotonic() + 60 * minutes
        while self.stage < len(stages):
            if not self._run_stage(stages[self.stage], end, say):
                return False
            self.stage, self.step, self._saved = self.stage + 1, 0, None
            self.save()
        return True

    def _run_stage(self, stage: Stage, end: float, say: Callable[[str], None]) -> bool:
        factors = {"muon": stage.muon, "embedding": stage.embedding, "projector": stage.projector, "tower": stage.tower}
        for name, p in self.vlm.named_parameters():
            if name.startswith("tower"):
                p.requires_grad_(stage.tower > 0 and name in self.trained)
            else:
                p.requires_grad_(stage.rows > 0 or name.startswith("projector"))
        optimizers = Optimizers(self.vlm, self.heads, rate=stage.rate, **factors)
        if self._saved is not None:
            optimizers.load(self._saved)
        if stage.name == "align" and self.step == 0:
            self._centre_features()
        recent: list[Losses] = []
        began, saved, asked = time.monotonic(), time.monotonic(), self.questions
        while self.step < stage.steps:
            optimizers.schedule(self.step, stage.steps)
            views = self.feed.views(stage.views, self.rng)
            views = views.to(self.device) if views is not None else None
            if stage.rows:
                low, high = stage.symbolic
                share = low + (high - low) * self.step / stage.steps
                rows = self.feed.rows(stage.rows, self.rng, self.g, symbolic=share, photos=stage.photos)
                recent.append(train_step(self.vlm, self.heads, rows.to(self.device), views, optimizers))
            else:
                if views is None:
                    raise DataError(
                        "the projector cannot be aligned without drawn scenes; run `lavida data build mini`"
                    )
                recent.append(
                    dense_only_step(self.vlm, self.heads, views, self.feed.targets.to(self.device), optimizers)
                )
            self.step += 1
            self.questions += recent[-1].questions
            if self.step % 20 == 0:
                pace = (self.questions - asked) / (time.monotonic() - began)
                self._log(stage, recent, pace, say)
                recent.clear()
            if time.monotonic() > end or time.monotonic() - saved > 120:
                self.save(optimizers)
                saved = time.monotonic()
                if saved > end:
                    return False
        return True

    @torch.no_grad()
    def _centre_features(self) -> None:
        """Fold the mean and spread of the tower's channels into the projector's first layer."""
        views = self.feed.views(400, random.Random(0))
        if views is None:
            return
        features = self.vlm.tower.features(views.maps.to(self.device).float()).flatten(0, 1)
        mean, spread = features.mean(0), features.std(0) + 0.05
        inner = self.vlm.projector.inner
        inner.bias.sub_(inner.weight @ (mean / spread))
        inner.weight.div_(spread)

    def _log(self, stage: Stage, recent: list[Losses], pace: float, say: Callable[[str], None]) -> None:
        mean = {k: round(sum(asdict(r)[k] for r in recent) / len(recent), 4) for k in asdict(recent[0])}
        mean |= {"stage": stage.name, "step": self.step, "questions": self.questions, "pace": round(pace, 1)}
        with open(self.out / "log.jsonl", "a") as file:
            file.write(json.dumps(mean) + "\n")
        say(
            f"{stage.name} {self.step}/{stage.steps}: answer {mean['answer']:.3f}, content {mean['content']:.3f}, "
            f"dense {mean['dense']:.3f}, cells {mean['cells']:.2f}, ground {mean['ground']:.3f}, {pace:.0f} questions/s"
        )

    def save(self, optimizers: Optimizers | None = None) -> None:
        """Write the state beside the old one, in parts under 16 MB, then swap."""
        state = {
            "vlm": self.vlm.state_dict(), "heads": self.heads.state_dict(), "g": self.g.get_state(),
            "torch": torch.get_rng_state(), "rng": self.rng.getstate(),
            "at": (self.stage, self.step, self.questions), "optimizers": optimizers.state() if optimizers else None,
        }  # fmt: skip
        fresh = self.out / f"{STATE}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        torch.save(state, fresh / "whole")
        data = (fresh / "whole").read_bytes()
        (fresh / "whole").unlink()
        for i in range(0, len(data), PART_BYTES):
            (fresh / f"part{i // PART_BYTES:03d}").write_bytes(data[i : i + PART_BYTES])
        old = self.out / f"{STATE}.old"
        shutil.rmtree(old, ignore_errors=True)
        if (self.out / STATE).exists():
            os.rename(self.out / STATE, old)
        os.rename(fresh, self.out / STATE)
        shutil.rmtree(old, ignore_errors=True)

    def start_from(self, folder: Path) -> None:
        """Take the weights of a model folder. Raises CheckpointError if it has another shape."""
        other, config = load_checkpoint(folder, dtype=torch.float32)
        if config != self.vlm.config:
            raise CheckpointError(f"{folder} is not of this recipe's shape; start from lavida-mini or one like it")
        weights = other.state_dict()
        if other.tower.adapted is None:  # a model from before its tower was finetuned
            weights |= {k: v for k, v in self.vlm.state_dict().items() if k.startswith("tower.adapted.")}
        self.vlm.load_state_dict(weights)

    def resume(self) -> bool:
        """Go on from `out` if a checkpoint lies there. Raises DataError if it is broken."""
        state = read_state(self.out)
        if state is None:
            return False
        self.vlm.load_state_dict(state["vlm"])
        self.heads.load_state_dict(state["heads"])
        self.g.set_state(state["g"])
        torch.set_rng_state(state["torch"])
        self.rng.setstate(state["rng"])
        self.stage, self.step, self.questions = state["at"]
        self._saved = state["optimizers"]
        return True


def read_state(out: Path) -> dict[str, Tensor] | None:
    """The state in a run's folder, or None. Raises DataError if it cannot be read."""
    import io

    folder = next((f for f in (out / STATE, out / f"{STATE}.old") if f.exists()), None)
    if folder is None:
        return None
    data = b"".join(part.read_bytes() for part in sorted(folder.glob("part*")))
    try:
        return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises pickle, zip and runtime errors alike
        raise DataError(f"the checkpoint {folder} is broken ({error}); delete it to start anew") from None
