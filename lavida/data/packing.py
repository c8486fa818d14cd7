"""Rows of training: one image, many questions, each answer twice under complementary masks.

    [image, hint] [prompt 1] [answer 1, mask A] [answer 1, mask B] [prompt 2] ...

A prompt sees the image, an answer sees the image and its prompt: the Prefix-DLM mask, packed, so that the image is
encoded once for all of them and the prefix cache is exact at inference.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lavida.data.languages import LANGUAGES
from lavida.data.questions import Question
from lavida.diffusion.masking import apply_mask, complementary, draw_masks, sample_times
from lavida.text.prompt import question_ids
from lavida.text.tokenizer import Tokenizer

CANVAS_LENGTHS = (4, 8, 16, 24, 32, 48, 64)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Packed rows; B rows of R positions, the image slots first."""

    ids: Tensor  # [B, R], noised; image slots hold 0
    positions: Tensor  # [B, R]
    segment: Tensor  # [B, R], 0 = padding
    parent: Tensor  # [B, R, 2]
    targets: Tensor  # [B, R] the true ids
    masked: Tensor  # [B, R] which of them are to be found
    weights: Tensor  # [B, R]
    nouns: Tensor  # [G] flat positions of the names in prompts
    asked: list[tuple[int, str]]  # [G] the row and the name of each
    questions: int

    def to(self, device: str) -> Batch:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()})


class Packer:
    """Turns (hint, questions) into rows of fixed length."""

    def __init__(self, tokenizer: Tokenizer, *, image_tokens: int, row: int, end_weight: float = 0.2) -> None:
        self.tokenizer, self.image_tokens, self.row, self.end_weight = tokenizer, image_tokens, row, end_weight
        self._cache: dict[str, list[int]] = {}

    def _encode(self, text: str, *, prompt: bool) -> list[int]:
        key = ("?" if prompt else "!") + text
        if key not in self._cache:
            if len(self._cache) > 200_000:
                self._cache.clear()
            self._cache[key] = question_ids(self.tokenizer, text) if prompt else self.tokenizer.encode(text)
        return self._cache[key]

    def pack(
        self, rows: Sequence[tuple[list[int], Sequence[Question]]], rng: random.Random, g: torch.Generator
    ) -> Batch:
        """A batch of (hint ids, questions); the questions that do not fit into a row are left out.

        `rng` draws the lengths of the canvases, `g` the masks.
        """
        shape = (len(rows), self.row)
        ids, positions, segment, targets = (torch.zeros(shape, dtype=torch.long) for _ in range(4))
        masked, weights = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape)
        parent = torch.zeros((*shape, 2), dtype=torch.long)
        nouns: list[int] = []
        names: list[tuple[int, str]] = []
        asked = 0
        for b, (hint, questions) in enumerate(rows):
            prefix = at = self.image_tokens + len(hint)
            ids[b, self.image_tokens : at] = torch.tensor(hint, dtype=torch.long)
            segment[b, :at], positions[b, :at] = 1, torch.arange(at)
            piece = 2
            for q in questions:
                prompt, answer = self._encode(q.prompt, prompt=True), self._encode(q.answer, prompt=False)
                length = self.canvas_length(len(answer), rng)
                if length is None or at + len(prompt) + 2 * length > self.row:
                    continue
                # the prompt sees the image
                end = at + len(prompt)
                ids[b, at:end], positions[b, at:end] = torch.tensor(prompt), torch.arange(prefix, prefix + len(prompt))
                segment[b, at:end], parent[b, at:end, 0] = piece, 1
                for name in q.asked:
                    found = self._find(prompt, name, q.language)
                    if found is not None:
                        nouns.append(b * self.row + at + found)
                        names.append((b, name))
                # two answers see the image and the prompt; what one hides, the other shows
                padding = length - len(answer)
                true = torch.tensor(answer + [self.tokenizer.eos_id] * padding)
                everything = torch.ones((1, length), dtype=torch.bool)
                drawn = draw_masks(everything, sample_times(1, g), g)
                for copy, hidden in enumerate(complementary(drawn, everything)):
                    at, end = end, end + length
                    ids[b, at:end] = apply_mask(true, hidden[0], self.tokenizer.mask_id)
                    targets[b, at:end], masked[b, at:end] = true, hidden[0]
                    weights[b, at:end] = torch.tensor([1.0] * len(answer) + [self.end_weight] * padding)
                    start = prefix + len(prompt)
                    positions[b, at:end] = torch.arange(start, start + length)
                    segment[b, at:end] = piece + 1 + copy
                    parent[b, at:end, 0], parent[b, at:end, 1] = 1, piece
                at = end
                piece += 3
                asked += 1
        return Batch(
            ids=ids,
            positions=positions,
            segment=segment,
            parent=parent,
            targets=targets,
            masked=masked,
            weights=weights,
            nouns=torch.tensor(nouns, dtype=torch.long),
            asked=names,
            questions=asked,
        )

    def _find(self, prompt: list[int], name: str, language: str) -> int | None:
        """Where a prompt speaks of the name, in any of its forms."""
        for word in LANGUAGES[language].forms(name):
            token = self._encode(word, prompt=False)[0]
            if token in prompt:
                return prompt.index(token)
        return None

    @staticmethod
    def canvas_length(tokens: int, rng: random.Random) -> int | None:
        """A canvas for an answer of so many tokens: mostly the shortest that holds it, sometimes longer."""
        fits = [n for n in CANVAS_LENGTHS if n >= tokens]
        if not fits:
            return None
        return next((n for n in fits if rng.random() < 0.7), fits[0])
