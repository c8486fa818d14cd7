"""Give the tokenizer the words of natural questions that it would spell in pieces, and the model their embeddings."""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from tokenizers import AddedToken
from tokenizers import Tokenizer as _Backend
from torch import nn

from lavida.model.vlm import VLM
from lavida.text.tokenizer import Tokenizer
from mini.natural.names import NAMES
from mini.natural.vocabulary import chinese_pieces, english_words


def missing_words(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Return the English words and Chinese pieces of natural questions that are more than one token."""
    words = english_words()
    english = sorted({*words, *(w.lower() for w in words)})
    return [w for w in english if len(tokenizer.encode(w)) > 1], [
        w for w in chinese_pieces() if len(tokenizer.encode(w)) > 1
    ]


def extended(tokenizer: Tokenizer, english: list[str], chinese: list[str]) -> Tokenizer:
    """Return a tokenizer in which each of these words is one token; all other ids stay.

    English words become merges behind all others, so that nothing else is read in another way than words that begin
    like them; Chinese words are matched before anything else, as those that the tokenizer has.
    """
    data = json.loads(tokenizer.backend().to_str())
    vocabulary, merges = data["model"]["vocab"], data["model"]["merges"]
    for token in data["added_tokens"]:
        vocabulary.setdefault(token["content"], token["id"])  # or the ids of added tokens would move
    size = tokenizer.size
    spelled = {i: token for token, i in vocabulary.items()}
    known = {tuple(merge) for merge in merges}
    for word in english:
        pieces = [spelled[i] for i in tokenizer.encode(word)]
        whole = pieces[0]
        for piece in pieces[1:]:
            if (whole, piece) not in known:
                known.add((whole, piece))
                merges.append([whole, piece])
            whole += piece
            if whole not in vocabulary:
                vocabulary[whole], size = size, size + 1
    for word in chinese:
        vocabulary[word], size = size, size + 1
    backend = _Backend.from_str(json.dumps(data))
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
        if word not in meant and word.isascii() and len(old.encode(word.lower())) == 1:
            meant[word] = word.lower()
        row = table[old.encode(meant.get(word, word))].mean(0)
        row = row / row.norm() * length + noise[i] * (0.5 if word in meant else 1.0)
        grown[i] = row / row.norm() * length
    denoiser.embedding = nn.Embedding(rows, table.shape[1], _weight=grown)
    denoiser.config = replace(denoiser.config, vocab_size=rows)
    vlm.config = replace(vlm.config, denoiser=denoiser.config)
    return vlm
