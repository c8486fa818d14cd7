"""Give the tokenizer the words of natural questions that it would spell in pieces, and the model their embeddings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import torch
from tokenizers import AddedToken
from torch import nn

from lavida.model.vlm import VLM
from lavida.text.tokenizer import Tokenizer

_ENGLISH = re.compile(r"[A-Za-z]+")
_CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")


def missing_words(tokenizer: Tokenizer, texts: Iterable[str], *, english: int, chinese: int) -> tuple[list[str], list[str]]:
    """Return the commonest English words and Chinese characters of texts that are more than one token."""
    words, characters = Counter[str](), Counter[str]()
    for text in texts:
        words.update(_ENGLISH.findall(text))
        characters.update(_CHINESE.findall(text))
    split = [w for w, n in words.most_common() if n >= 3 and len(tokenizer.encode(w)) > 1]
    broken = [c for c, _ in characters.most_common() if len(tokenizer.encode(c)) > 1]
    return split[:english], broken[:chinese]


def extended(tokenizer: Tokenizer, english: list[str], chinese: list[str]) -> Tokenizer:
    """Return a tokenizer in which each of these words is one token; all other ids stay."""
    backend = tokenizer.backend()
    backend.add_tokens([AddedToken(w, lstrip=True, single_word=True, normalized=False) for w in english])
    backend.add_tokens([AddedToken(w, lstrip=True, normalized=False) for w in chinese])
    return Tokenizer(backend)


@torch.no_grad()
def grow(vlm: VLM, old: Tokenizer, new: Tokenizer, generator: torch.Generator) -> VLM:
    """Return the model with a row for each new token: the mean of the pieces that spelled it, and some noise.

    The number of rows is a multiple of 32.
    """
    denoiser = vlm.denoiser
    table = denoiser.embedding.weight.detach().float()
    rows = -(-new.size // 32) * 32
    spread = float(table[:1000].std())
    grown = torch.randn((rows, table.shape[1]), generator=generator) * spread * 0.5
    grown[: len(table)] = table
    length = float(table.norm(dim=1).mean())
    for i in range(old.size, new.size):
        row = table[old.encode(new.token(i).strip())].mean(0) + grown[i]
        grown[i] = row / row.norm() * length
    denoiser.embedding = nn.Embedding(rows, table.shape[1], _weight=grown)
    denoiser.config = replace(denoiser.config, vocab_size=rows)
    vlm.config = replace(vlm.config, denoiser=denoiser.config)
    return vlm
