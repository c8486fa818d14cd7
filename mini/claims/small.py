"""Small networks that claims train from scratch: symbols in the place of words, the library's own loss and loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.nets import random_net
from lavida.config import DenoiserConfig
from lavida.diffusion.loss import masked_loss
from lavida.diffusion.masking import apply_mask, draw_copies
from lavida.model.vlm import VLM

END, MASK, BEGIN = range(3)
SMALL = DenoiserConfig(
    vocab_size=44, d_model=96, n_layers=3, n_heads=4, n_kv_heads=4, mlp_size=256, mask_id=MASK, eos_ids=(END,),
    tied_head=True, max_length=32,
)  # fmt: skip


def small_net(seed: int, *, autoregressive: bool = False) -> VLM:
    """Return a network of random weights."""
    config = replace(SMALL, autoregressive=autoregressive, logit_shift=autoregressive)
    return random_net(config, torch.float32, seed)


def fit(net: VLM, loss: Callable[[], Tensor], *, updates: int, rate: float = 2e-3) -> VLM:
    """Train a network by AdamW with a short warm-up; `loss` draws a batch and computes its loss."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=updates, pct_start=0.1)
    net.train()
    for _ in range(updates):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def diffusion_loss(
    net: VLM, prompts: Tensor, answers: Tensor, g: torch.Generator, weights: Tensor | None = None
) -> Tensor:
    """Return the masked loss of two complementary copies of answers [B, L] behind prompts [B, P]."""
    masked, _ = draw_copies(torch.ones_like(answers, dtype=torch.bool), g)
    targets, masked = answers.repeat(2, 1), masked.flatten(0, 1)
    ids = torch.cat((prompts.repeat(2, 1), apply_mask(targets, masked, MASK)), 1)
    hidden = net.denoiser(net.denoiser.embed(ids))[:, prompts.shape[1] :]
    own = None if weights is None else weights.repeat(2, 1)
    return masked_loss(net.denoiser.head(hidden), targets, masked, weights=own)[0]
