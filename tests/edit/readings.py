"""Readings of tiny random models."""

from __future__ import annotations

import torch

from lavida.edit.reading import Reading
from lavida.text.chat import TEMPLATES
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer

L = 12


def random_reading(cache: str = "prefix") -> Reading:
    """A tiny model that has read a question, sharp enough that its answers differ."""
    tokenizer = tiny_tokenizer()
    net = tiny_net(tiny_config(tokenizer))
    with torch.no_grad():
        for p in net.denoiser.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.4, generator=torch.Generator().manual_seed(p.numel()))
    segments = net.segments(torch.tensor(tokenizer.encode("What is this?")), [])
    held = net.prefill(segments) if cache == "prefix" else cache
    return Reading(
        net=net, tokenizer=tokenizer, template=TEMPLATES["lavida-mini"], segments=segments, cache=held, length=L
    )
