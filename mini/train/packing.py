"""Rows of training: pictures, their questions, and the answers in the form that the objective asks for.

    prefix   [image, hint] [prompt 1] [answer 1, mask A] [answer 1, mask B] [prompt 2] ...
    full     [image, hint, prompt 1, answer 1 under mask A]
             [image, hint, prompt 1, answer 1 under mask B] ...
    causal   [image, hint] [prompt 1, answer 1] [prompt 2, answer 2] ...

Under the Prefix-DLM mask a prompt sees the image and an answer sees the image and its prompt, so that the image is
encoded once for all of them and the prefix cache is exact at inference. Under full attention image and prompt see the
answer, so each copy of each answer needs a row of its own. Under a causal mask every token of an answer is predicted
in one copy. The questions are the same in each case: those of which both copies fit into a row.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lavida.diffusion.masking import apply_mask, complementary, draw_masks, masking_probability, sample_times
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError
from lavida.text.prompt import question_ids
from lavida.text.tokenizer import Tokenizer
from mini.data.languages import LANGUAGES
from mini.data.questions import Question

CANVAS_LENGTHS = (4, 8, 16, 24, 32, 48, 64)
PREFIX_DLM = Objective(attention="prefix")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Packed rows; B rows of R positions, the image slots first."""

    ids: Tensor  # [B, R], noised; image slots hold 0
    positions: Tensor  # [B, R]
    segment: Tensor  # [B, R], 0 = padding
    parent: Tensor  # [B, R, 2]
    targets: Tensor  # [B, R] the true ids, each where its prediction is read
    masked: Tensor  # [B, R] which of them are to be found
    odds: Tensor  # [B, R] how likely they were to be masked; 0 where nothing is learned
    weights: Tensor  # [B, R] of the mean over them
    bound: Tensor | None  # [B, R] weights of the "1/t" loss, which is a sum; None for the mean
    picture: Tensor  # [B] which picture a row shows
    nouns: Tensor  # [G] flat positions of the names in prompts
    asked: list[tuple[int, str]]  # [G] the picture and the name of each
    questions: int

    def to(self, device: str) -> Batch:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()})


@dataclass(frozen=True, kw_only=True)
class _Posed:
    """A question that has its place in a row."""

    prompt: list[int]
    answer: list[int]
    length: int  # of the canvas
    names: list[tuple[int, str]]  # the names that the prompt speaks of, and where in it


@dataclass(frozen=True, kw_only=True)
class _Learned:
    """What is learned at n neighbouring positions."""

    targets: Tensor  # [n]
    masked: Tensor  # [n]
    weights: Tensor  # [n]
    odds: float = 1.0  # that one of them is masked


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Neighbouring positions of a row that see the same."""

    ids: Tensor  # [n]
    start: int  # position of the first
    segment: int
    parents: tuple[int, ...] = ()
    learned: _Learned | None = None
    names: Sequence[tuple[int, str]] = ()


_Row = list[_Piece]


class Packer:
    """Turns (hint, questions) into rows; of `row` positions, or shorter ones where the objective leaves room."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        image_tokens: int,
        row: int,
        end_weight: float = 0.2,
        objective: Objective = PREFIX_DLM,
    ) -> None:
        self.tokenizer, self.image_tokens, self.row, self.end_weight = tokenizer, image_tokens, row, end_weight
        self.objective = objective
        layouts = {"prefix": self._shared, "full": self._alone, "causal": self._causal}
        if objective.attention not in layouts:
            raise ConfigError(
                f"packed questions are dialogues of one turn and know no attention {objective.attention!r}; "
                f"choose one of {', '.join(layouts)}"
            )
        self._layout = layouts[objective.attention]
        self._cache: dict[str, list[int]] = {}

    def pack(
        self, rows: Sequence[tuple[list[int], Sequence[Question]]], rng: random.Random, g: torch.Generator
    ) -> Batch:
        """A batch of (hint ids, questions), one for each picture; the questions that do not fit are left out.

        `rng` draws the lengths of the canvases, alike for every objective, `g` the masks.
        """
        packed: list[tuple[int, _Row]] = []
        asked = 0
        for picture, (hint, questions) in enumerate(rows):
            prefix = torch.tensor([0] * self.image_tokens + hint)
            posed = self._choose(len(prefix), questions, rng)
            packed += [(picture, row) for row in self._layout(prefix, posed, g)]
            asked += len(posed)
        width = max((sum(len(piece.ids) for piece in row) for _, row in packed), default=0)
        full = self.row if self.objective.attention == "prefix" else -(-width // 32) * 32
        return self._stack(packed, full, asked)

    def _choose(self, at: int, questions: Sequence[Question], rng: random.Random) -> list[_Posed]:
        """The questions that fit behind `at` positions with both copies of their answers."""
        posed = []
        for q in questions:
            prompt, answer = self._encode(q.prompt, prompt=True), self._encode(q.answer, prompt=False)
            length = self.canvas_length(len(answer), rng)
            if length is None or at + len(prompt) + 2 * length > self.row:
                continue
            names = [(found, name) for name in q.names if (found := self._find(prompt, name, q.language)) is not None]
            posed.append(_Posed(prompt=prompt, answer=answer, length=length, names=names))
            at += len(prompt) + 2 * length
        return posed

    def _shared(self, prefix: Tensor, posed: Sequence[_Posed], g: torch.Generator) -> Iterator[_Row]:
        """One row: the prompts see the image, two answers see the image and their prompt."""
        row = [_Piece(ids=prefix, start=0, segment=1)]
        for k, q in enumerate(posed):
            own, end = 3 * k + 2, len(prefix) + len(q.prompt)
            prompt = torch.tensor(q.prompt)
            row.append(_Piece(ids=prompt, start=len(prefix), segment=own, parents=(1,), names=q.names))
            for i, (ids, learned) in enumerate(self._copies(q, g), start=1):
                row.append(_Piece(ids=ids, start=end, segment=own + i, parents=(1, own), learned=learned))
        yield row

    def _alone(self, prefix: Tensor, posed: Sequence[_Posed], g: torch.Generator) -> Iterator[_Row]:
        """A row for each copy, in which all see all."""
        for q in posed:
            end = len(prefix) + len(q.prompt)
            for ids, learned in self._copies(q, g):
                yield [
                    _Piece(ids=prefix, start=0, segment=1),
                    _Piece(ids=torch.tensor(q.prompt), start=len(prefix), segment=1, names=q.names),
                    _Piece(ids=ids, start=end, segment=1, learned=learned),
                ]

    def _causal(self, prefix: Tensor, posed: Sequence[_Posed], g: torch.Generator) -> Iterator[_Row]:
        """One row: each question with its answer sees the image, and each token is read off the one before it."""
        row = [_Piece(ids=prefix, start=0, segment=1)]
        for k, q in enumerate(posed, start=2):
            said = torch.tensor([*q.prompt, *q.answer, self.tokenizer.eos_id])
            answers = torch.arange(1, len(said)) >= len(q.prompt)
            learned = _Learned(targets=said[1:] * answers, masked=answers, weights=answers.float())
            row.append(
                _Piece(ids=said[:-1], start=len(prefix), segment=k, parents=(1,), learned=learned, names=q.names)
            )
        yield row

    def _copies(self, q: _Posed, g: torch.Generator) -> Iterator[tuple[Tensor, _Learned]]:
        """The canvas [L] of an answer, noised twice: what one copy hides the other shows, or independently."""
        padding = q.length - len(q.answer)
        true = torch.tensor(q.answer + [self.tokenizer.eos_id] * padding)
        weights = torch.tensor([1.0] * len(q.answer) + [self.end_weight] * padding)
        times = sample_times(1 if self.objective.complementary else 2, g, self.objective.eps)
        everything = torch.ones((len(times), q.length), dtype=torch.bool)
        drawn, chances = draw_masks(everything, times, g), masking_probability(times, q.length)
        if self.objective.complementary:
            drawn = torch.cat(complementary(drawn, everything))
            chances = torch.cat((chances, 1 - chances)).clamp(min=self.objective.eps)
        for hidden, chance in zip(drawn, chances.tolist(), strict=True):
            learned = _Learned(targets=true, masked=hidden, weights=weights, odds=chance)
            yield apply_mask(true, hidden, self.tokenizer.mask_id), learned

    def _stack(self, rows: Sequence[tuple[int, _Row]], width: int, questions: int) -> Batch:
        """Rows of pieces as tensors, padded to `width` positions."""
        shape = (len(rows), width)
        ids, positions, segment, targets = (torch.zeros(shape, dtype=torch.long) for _ in range(4))
        masked = torch.zeros(shape, dtype=torch.bool)
        odds, weights, bound = (torch.zeros(shape) for _ in range(3))
        parent = torch.zeros((*shape, 2), dtype=torch.long)
        nouns: list[int] = []
        asked: list[tuple[int, str]] = []
        for b, (picture, row) in enumerate(rows):
            at = 0
            for piece in row:
                n = len(piece.ids)
                here = (b, slice(at, at + n))
                ids[here], positions[here] = piece.ids, torch.arange(piece.start, piece.start + n)
                segment[here] = piece.segment
                parent[(*here, slice(len(piece.parents)))] = torch.tensor(piece.parents, dtype=torch.long)
                if (learned := piece.learned) is not None:
                    targets[here], masked[here], weights[here] = learned.targets, learned.masked, learned.weights
                    odds[here] = learned.odds
                    bound[here] = learned.weights / (learned.odds * learned.weights.sum())
                nouns += [b * width + at + place for place, _ in piece.names]
                asked += [(picture, name) for _, name in piece.names]
                at += n
        answers = sum(piece.learned is not None for _, row in rows for piece in row)
        return Batch(
            ids=ids,
            positions=positions,
            segment=segment,
            parent=parent,
            targets=targets,
            masked=masked,
            odds=odds,
            weights=weights,
            bound=bound / max(answers, 1) if self.objective.weighting == "1/t" else None,
            picture=torch.tensor([picture for picture, _ in rows], dtype=torch.long),
            nouns=torch.tensor(nouns, dtype=torch.long),
            asked=asked,
            questions=questions,
        )

    def _encode(self, text: str, *, prompt: bool) -> list[int]:
        key = ("?" if prompt else "!") + text
        if key not in self._cache:
            if len(self._cache) > 200_000:
                self._cache.clear()
            self._cache[key] = question_ids(self.tokenizer, text) if prompt else self.tokenizer.encode(text)
        return self._cache[key]

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
