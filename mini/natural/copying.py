"""Show a model that copies where to look: heads whose attention is trained to rest on the token that is copied.

A form's values stand in the prompt to the letter, so the place of each token of an answer is known there. Left to the
loss of the answers alone, heads that find it come late; this loss makes them, as the heads of `Learner` make names
point at cells. It belongs to training only: nothing is added to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.model.denoiser import Denoiser
from lavida.nn.layers import rotate
from lavida.text.tokenizer import Tokenizer
from mini.train.packing import PackedRows

GUIDED = ((3, 0), (4, 0), (4, 1), (5, 0), (5, 1))  # layer and head


class CopyFinder:
    """Find the tokens of answers that stand in the read text before them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        spelled = [tokenizer.token(i) for i in range(tokenizer.size)]
        special = tokenizer.special_ids
        self._quotes = {i for i, text in enumerate(spelled) if '"' in text or i in special}
        self._letters = {i for i, text in enumerate(spelled) if any(map(str.isalnum, text)) and i not in special}

    def __call__(self, batch: PackedRows) -> Tensor:
        """Return (row, place, place of the same token in the picture's segment) [C, 3] of masked tokens."""
        found: list[tuple[int, int, int]] = []
        for b, segment in enumerate(batch.segment.tolist()):
            text = [i for i, s in zip(batch.ids[b].tolist(), segment) if s == 1]
            answers, masked = batch.targets[b].tolist(), batch.masked[b].tolist()
            for run in self._runs(segment, answers):
                start = self._find(text, [answers[i] for i in run])
                if start is not None:
                    found += [(b, i, start + k) for k, i in enumerate(run) if masked[i]]
        return torch.tensor(found, dtype=torch.long).view(-1, 3)

    def _runs(self, segment: Sequence[int], answers: Sequence[int]) -> Iterator[list[int]]:
        """Yield the places of each piece of an answer between quotes that holds a letter or digit."""
        run: list[int] = []
        for i, (s, token) in enumerate(zip(segment, answers, strict=True)):
            if s > 1 and s % 3 != 2 and token not in self._quotes:
                run.append(i)
                continue
            if any(answers[k] in self._letters for k in run):
                yield run
            run = []

    def _find(self, text: Sequence[int], piece: Sequence[int]) -> int | None:
        """Return where a piece stands: between quotes if it does, else at the end of a text, else anywhere."""
        n = len(piece)
        starts = [i for i in range(len(text) - n + 1) if text[i : i + n] == list(piece)]
        ends = [i for i in starts if i + n == len(text) or text[i + n] in self._quotes]
        whole = [i for i in ends if i and text[i - 1] in self._quotes]
        return next(iter(whole or ends or starts), None)


class Guide:
    """Tell how far the guided heads of a denoiser miss in a forward pass that it watches."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._seen: dict[int, tuple[Any, ...]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep what goes into the guided layers inside; outside nothing of them is kept."""

        def keeper(layer: int) -> Callable[..., None]:
            return lambda _, args: self._seen.update({layer: args})

        layers = {layer for layer, _ in GUIDED}
        hooks = [self._denoiser.blocks[i].attn.register_forward_pre_hook(keeper(i)) for i in layers]
        try:
            yield
        finally:
            self._seen.clear()
            for hook in hooks:
                hook.remove()

    def loss(self, copies: Tensor) -> Tensor:
        """Return the mean cross-entropy of the guided heads' attention in the watched forward pass at copies [C, 3]."""
        row, place, source = copies.unbind(1)
        losses = []
        for layer, head in GUIDED:
            x, cos, sin, mask, *_ = self._seen[layer]
            attention = self._denoiser.blocks[layer].attn
            own = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
            q, k = (F.linear(x, part.weight[own])[:, None] for part in (attention.q, attention.k))
            q, k = rotate(q, cos, sin)[:, 0], rotate(k, cos, sin)[:, 0]
            scores = (q * attention.head_dim**-0.5) @ k.transpose(1, 2) + mask[:, 0]  # [B, R, R]
            losses.append(F.cross_entropy(scores[row, place].float(), source))
        return torch.stack(losses).mean()
