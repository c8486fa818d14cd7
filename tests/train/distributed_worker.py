"""Do the part of one process of tests/train/test_distributed.py: python -m tests.train.distributed_worker OUT"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from lavida.checkpoint.io import save_checkpoint
from lavida.diffusion.loss import masked_loss
from lavida.diffusion.masking import apply_mask, complementary, draw_masks, sample_times
from lavida.model.vlm import VLM
from lavida.train.distributed import prepare, processes, rank, sum_all, unsharded, whole_state, world
from lavida.train.state import Checkpoints
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer

ROWS, LENGTH, PROMPT = 4, 12, 4


class Step(nn.Module):
    """Rows of ids to the mean loss of their masked tokens, and how many these are."""

    def __init__(self, vlm: VLM) -> None:
        super().__init__()
        self.vlm = vlm

    def forward(self, ids: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        denoiser = self.vlm.denoiser
        x = denoiser.embed(apply_mask(ids, masked, denoiser.config.mask_id))
        loss, _ = masked_loss(denoiser.head(denoiser(x)[masked]), ids, masked)
        return loss, masked.sum()


class Run:
    """Training whose batches depend on the step only, and on which rows of them are this process's."""

    def __init__(self, out: Path, *, sees: bool = False, muon: bool = False, **how) -> None:
        config = tiny_config(tiny_tokenizer())
        vlm = tiny_net(config if sees else replace(config, vision=None))
        if sees:
            vlm.tower.requires_grad_(False).to(memory_format=torch.channels_last)
        self.step, self.how = prepare(Step(vlm).train(), **how), how
        trained = [p for p in self.step.parameters() if p.requires_grad]
        matrices = {id(p) for b in vlm.denoiser.blocks for p in b.parameters() if p.dim() == 2} if muon else set()
        self.optimizers = [torch.optim.AdamW([p for p in trained if id(p) not in matrices], lr=3e-3, fused=True)]
        if muon:
            matrices = [p for p in trained if id(p) in matrices]
            self.optimizers.append(torch.optim.Muon(matrices, lr=3e-3, adjust_lr_fn="match_rms_adamw"))
        self.trained = trained
        self.checkpoints = Checkpoints(out)
        self.done = 0

    def update(self) -> float:
        g = torch.Generator().manual_seed(self.done)
        ids = torch.randint(0, self.step.vlm.config.denoiser.vocab_size, (ROWS, LENGTH), generator=g)
        answer = (torch.arange(LENGTH) >= PROMPT).expand(ROWS, LENGTH)
        first = draw_masks(answer, sample_times(ROWS, g), g)
        masked = torch.cat(complementary(first, answer))
        mine = slice(rank() * 2 * ROWS // world(), (rank() + 1) * 2 * ROWS // world())
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss, count = self.step(torch.cat((ids, ids))[mine], masked[mine])
        (whole,) = sum_all([float(count)])
        (loss * count / whole * world()).backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.done += 1
        return sum_all([float(loss.detach()) * float(count) / whole])[0]

    def state(self) -> dict:
        return {
            "model": get_model_state_dict(self.step),
            "optimizers": get_optimizer_state_dict(self.step, self.optimizers),
            "done": self.done,
            "own": {"rank": rank()},
        }

    def resume(self) -> dict:
        state = self.checkpoints.load(lambda plain: self.state())
        set_model_state_dict(self.step, state["model"])
        some = StateDictOptions(strict=False)  # projector and newline never had a gradient
        set_optimizer_state_dict(self.step, self.optimizers, optim_state_dict=state["optimizers"], options=some)
        self.done = state["done"]
        return state

    def evaluate(self) -> float:
        with unsharded(self.step, precision=self.how.get("precision", "float32")):
            denoiser = self.step.vlm.denoiser
            # Processes do different things: the second one looks at two rows more.
            ids = torch.arange(12).view(1, 12).expand(1 + 2 * rank(), 12)
            return float(denoiser.head(denoiser(denoiser.embed(ids)))[0].float().sum())


VARIANTS = {
    "plain": {},
    "copies": {"shard": 1, "sees": True},
    "muon": {"muon": True},
    "checkpointing": {"checkpointing": True},
    "bfloat16": {"precision": "bfloat16"},
}


def main(out: Path) -> None:
    told, place = {}, int(os.environ.get("RANK", "0"))
    with processes("cpu"):
        for name, how in VARIANTS.items():
            run = Run(out / name, **how)
            seen = {"before": run.evaluate(), "losses": []}
            for _ in range(20 if name == "plain" else 4):
                if run.done == 10:
                    run.checkpoints.save(10, run.state())
                seen["losses"].append(run.update())
            run.checkpoints.wait()
            weights = whole_state(run.step.vlm)
            told[name] = seen | {"after": run.evaluate(), "weights": len(weights)}
            if name == "plain" and rank() == 0:
                save_checkpoint(run.step.vlm, out / "model", weights=weights)
        again = Run(out / "plain")
        told["own"] = again.resume()["own"]
        told["resumed"] = [again.update() for _ in range(10)]
    (out / f"rank{place}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
