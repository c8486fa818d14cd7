"""Give the tokenizer the words of natural questions that it would spell in pieces, and the model their embeddings."""

from __future__ import annotations

from dataclasses import replace

import torch
from tokenizers import AddedToken
from torch import nn

from lavida.model.vlm import VLM
from lavida.text.tokenizer import Tokenizer
from mini.natural.names import NAMES
from mini.natural.vocabulary import chinese_pieces, english_words

def missing_words(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Return the English words and Chinese pieces of natural questions that are more than one token."""
    english = [w for w in english_words() if len(tokenizer.encode(w)) > 1]
    return english, [w for w in chinese_pieces() if len(tokenizer.encode(w)) > 1]


def extended(tokenizer: Tokenizer, english: list[str], chinese: list[str]) -> Tokenizer:
    """Return a tokenizer in which each of these words is one token; all other ids stay."""
    backend = tokenizer.backend()
    backend.add_tokens([AddedToken(w, lstrip=True, single_word=True, normalized=False) for w in english])
    backend.add_tokens([AddedToken(w, lstrip=True, normalized=False) for w in chinese])
    return Tokenizer(backend)


@torch.no_grad()
def grow(vlm: VLM, old: Tokenizer, new: Tokenizer, generator: torch.Generator) -> VLM:
    """Return the model with a row for each new token: what it means in English, else its pieces, and some noise.

    A name begins near its English name, so that it matches the same cells. The number of rows is a multiple of 32.
    """
    denoiser = vlm.denoiser
    table = denoiser.embedding.weight.detach().float()
    rows = -(-new.size // 32) * 32
    length = float(table.norm(dim=1).mean())
    grown = torch.randn((rows, table.shape[1]), generator=generator) * length / table.shape[1] ** 0.5
    meant = {word: n.text for n in NAMES.values() for word in (n.chinese, *n.chinese_synonyms)}
    noise = grown.clone()
    grown[: len(table)] = table
    for i in range(old.size, new.size):
        word = new.token(i).strip()
        row = table[old.encode(meant.get(word, word))].mean(0)
        row = row / row.norm() * length + noise[i] * (0.5 if word in meant else 1.0)
        grown[i] = row / row.norm() * length
    denoiser.embedding = nn.Embedding(rows, table.shape[1], _weight=grown)
    denoiser.config = replace(denoiser.config, vocab_size=rows)
    vlm.config = replace(vlm.config, denoiser=denoiser.config)
    return vlm
