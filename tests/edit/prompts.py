"""Prompts of tiny random models."""

from __future__ import annotations

import torch

from lavida.decode.prompt import Prompt
from lavida.text.chat import TEMPLATES
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer

L = 12


def random_prompt(cache: str = "prefix") -> Prompt:
    """A tiny model that has read a question, sharp enough that its answers differ."""
    tokenizer = tiny_tokenizer()
    net = tiny_net(tiny_config(tokenizer))
    with torch.no_grad():
        for p in net.denoiser.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.4, generator=torch.Generator().manual_seed(p.numel()))
    segments = net.segments(torch.tensor(tokenizer.encode("What is this?")), [])
    prompt = Prompt.of(net, segments, cache)
    prompt.tokenizer, prompt.template = tokenizer, TEMPLATES["lavida-mini"]
    return prompt
