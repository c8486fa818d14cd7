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

from lavida.diffusion.masking import apply_mask, draw_copies
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError
from lavida.text.prompt import question_ids
from lavida.text.tokenizer import FIM, Tokenizer
from mini.data.languages import LANGUAGES
from mini.data.questions import Question

CANVAS_LENGTHS = (4, 8, 16, 24, 32, 48, 64)
PREFIX_DLM = Objective(attention="prefix")


@dataclass(frozen=True, kw_only=True)
class PackedRows:
    """Hold packed rows: B rows of R positions, the image slots first."""

    ids: Tensor  # [B, R], noised; image slots hold 0
    positions: Tensor  # [B, R]
    segment: Tensor  # [B, R], 0 = padding
    parent: Tensor  # [B, R, 2]
    targets: Tensor  # [B, R] the true ids, each where its prediction is read
    masked: Tensor  # [B, R] the positions to predict
    p: Tensor  # [B, R] probability that they were masked; 0 where nothing is predicted
    weights: Tensor  # [B, R] weights of the mean over them
    bound_weights: Tensor | None  # [B, R] weights of the "1/t" loss, which is a sum; None for the mean
    picture: Tensor  # [B] the picture that a row shows
    name_positions: Tensor  # [G] flat positions of the names in prompts
    names: list[tuple[int, str]]  # [G] the picture and the name of each
    questions: int

    def to(self, device: str) -> PackedRows:
        """Return the same rows on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return PackedRows(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()})


@dataclass(frozen=True, kw_only=True)
class _PlacedQuestion:
    """Hold a question that has its place in a row."""

    prompt: list[int]
    answer: list[int]
    length: int  # of the canvas
    names: list[tuple[int, str]]  # names in the prompt, each behind its place


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """Hold the targets of n neighbouring positions."""

    targets: Tensor  # [n]
    masked: Tensor  # [n]
    weights: Tensor  # [n]
    p: float = 1.0  # probability that one of them is masked


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Hold neighbouring positions of a row that attend to the same segments."""

    ids: Tensor  # [n]
    start: int  # position of the first
    segment: int
    parents: tuple[int, ...] = ()
    target: _Targets | None = None
    names: Sequence[tuple[int, str]] = ()


_Row = list[_Part]


class Packer:
    """Pack (hint, questions) into rows of `row` positions, or shorter ones where the objective leaves room."""

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
        layouts = {"prefix": self._prefix_rows, "full": self._full_rows, "causal": self._causal_rows}
        if objective.attention not in layouts:
            raise ConfigError(
                f"packed questions are dialogues of one turn and know no attention {objective.attention!r}; "
                f"choose one of {', '.join(layouts)}"
            )
        self._layout = layouts[objective.attention]
        self._fixed = tokenizer.id_of(FIM)  # the end of a gap is neither masked nor predicted
        self._cache: dict[str, list[int]] = {}

    def pack(
        self, rows: Sequence[tuple[list[int], Sequence[Question]]], rng: random.Random, g: torch.Generator
    ) -> PackedRows:
        """Pack (hint ids, questions) of one picture each; questions that do not fit are left out.

        `rng` draws the lengths of the canvases, alike for every objective, `g` the masks.
        """
        packed: list[tuple[int, _Row]] = []
        questions_placed = 0
        for picture, (hint, questions) in enumerate(rows):
            prefix = torch.tensor([0] * self.image_tokens + hint)
            placed = self._place_questions(len(prefix), questions, rng)
            packed += [(picture, row) for row in self._layout(prefix, placed, g)]
            questions_placed += len(placed)
        width = max((sum(len(part.ids) for part in row) for _, row in packed), default=0)
        full = self.row if self.objective.attention == "prefix" else -(-width // 32) * 32
        return self._stack(packed, full, questions_placed)

    def _place_questions(self, at: int, questions: Sequence[Question], rng: random.Random) -> list[_PlacedQuestion]:
        """Return the questions that fit behind `at` positions with both copies of their answers."""
        placed = []
        for q in questions:
            prompt, answer = self._encode(q.prompt, prompt=True), self._encode(q.answer, prompt=False)
            length = self.canvas_length(len(answer), rng)
            if length is None or at + len(prompt) + 2 * length > self.row:
                continue
            names = [
                (found, name) for name in q.names if (found := self._find_name(prompt, name, q.language)) is not None
            ]
            placed.append(_PlacedQuestion(prompt=prompt, answer=answer, length=length, names=names))
            at += len(prompt) + 2 * length
        return placed

    def _prefix_rows(self, prefix: Tensor, placed: Sequence[_PlacedQuestion], g: torch.Generator) -> Iterator[_Row]:
        """Yield one row: the prompts see the image, two answers see the image and their prompt."""
        row = [_Part(ids=prefix, start=0, segment=1)]
        for k, q in enumerate(placed):
            own, end = 3 * k + 2, len(prefix) + len(q.prompt)
            prompt = torch.tensor(q.prompt)
            row.append(_Part(ids=prompt, start=len(prefix), segment=own, parents=(1,), names=q.names))
            for i, (ids, target) in enumerate(self._masked_copies(q, g), start=1):
                row.append(_Part(ids=ids, start=end, segment=own + i, parents=(1, own), target=target))
        yield row

    def _full_rows(self, prefix: Tensor, placed: Sequence[_PlacedQuestion], g: torch.Generator) -> Iterator[_Row]:
        """Yield a row for each copy, in which every position sees every other."""
        for q in placed:
            end = len(prefix) + len(q.prompt)
            for ids, target in self._masked_copies(q, g):
                yield [
                    _Part(ids=prefix, start=0, segment=1),
                    _Part(ids=torch.tensor(q.prompt), start=len(prefix), segment=1, names=q.names),
                    _Part(ids=ids, start=end, segment=1, target=target),
                ]

    def _causal_rows(self, prefix: Tensor, placed: Sequence[_PlacedQuestion], g: torch.Generator) -> Iterator[_Row]:
        """Yield one row: each question with its answer sees the image; each token is predicted at the one before."""
        row = [_Part(ids=prefix, start=0, segment=1)]
        for k, q in enumerate(placed, start=2):
            ids = torch.tensor([*q.prompt, *q.answer, self.tokenizer.eos_id])
            answers = torch.arange(1, len(ids)) >= len(q.prompt)
            target = _Targets(targets=ids[1:] * answers, masked=answers, weights=answers.float())
            row.append(_Part(ids=ids[:-1], start=len(prefix), segment=k, parents=(1,), target=target, names=q.names))
        yield row

    def _masked_copies(self, q: _PlacedQuestion, g: torch.Generator) -> Iterator[tuple[Tensor, _Targets]]:
        """Yield the canvas [L] of an answer under two masks: complementary ones, or independent ones."""
        padding = q.length - len(q.answer)
        true = torch.tensor(q.answer + [self.tokenizer.eos_id] * padding)
        weights = torch.tensor([1.0] * len(q.answer) + [self.end_weight] * padding)
        answer = (true != self._fixed)[None]
        objective = self.objective
        copies, p = draw_copies(answer, g, complementary_pair=objective.complementary, eps=objective.eps)
        for masked, own_p in zip(copies[:, 0], p[:, 0].tolist(), strict=True):
            target = _Targets(targets=true, masked=masked, weights=weights, p=own_p)
            yield apply_mask(true, masked, self.tokenizer.mask_id), target

    def _stack(self, rows: Sequence[tuple[int, _Row]], width: int, questions: int) -> PackedRows:
        """Stack rows of parts as tensors, padded to `width` positions."""
        shape = (len(rows), width)
        ids, positions, segment, targets = (torch.zeros(shape, dtype=torch.long) for _ in range(4))
        masked = torch.zeros(shape, dtype=torch.bool)
        p, weights, bound_weights = (torch.zeros(shape) for _ in range(3))
        parent = torch.zeros((*shape, 2), dtype=torch.long)
        name_positions: list[int] = []
        names: list[tuple[int, str]] = []
        for b, (picture, row) in enumerate(rows):
            at = 0
            for part in row:
                n = len(part.ids)
                here = (b, slice(at, at + n))
                ids[here], positions[here] = part.ids, torch.arange(part.start, part.start + n)
                segment[here] = part.segment
                parent[(*here, slice(len(part.parents)))] = torch.tensor(part.parents, dtype=torch.long)
                if (target := part.target) is not None:
                    targets[here], masked[here], weights[here] = target.targets, target.masked, target.weights
                    p[here] = target.p
                    bound_weights[here] = target.weights / (target.p * target.weights.sum())
                name_positions += [b * width + at + place for place, _ in part.names]
                names += [(picture, name) for _, name in part.names]
                at += n
        answers = sum(part.target is not None for _, row in rows for part in row)
        return PackedRows(
            ids=ids,
            positions=positions,
            segment=segment,
            parent=parent,
            targets=targets,
            masked=masked,
            p=p,
            weights=weights,
            bound_weights=bound_weights / max(answers, 1) if self.objective.weighting == "1/t" else None,
            picture=torch.tensor([picture for picture, _ in rows], dtype=torch.long),
            name_positions=torch.tensor(name_positions, dtype=torch.long),
            names=names,
            questions=questions,
        )

    def _encode(self, text: str, *, prompt: bool) -> list[int]:
        key = ("?" if prompt else "!") + text
        if key not in self._cache:
            if len(self._cache) > 200_000:
                self._cache.clear()
            self._cache[key] = question_ids(self.tokenizer, text) if prompt else self.tokenizer.encode(text)
        return self._cache[key]

    def _find_name(self, prompt: list[int], name: str, language: str) -> int | None:
        """Return where a prompt mentions the name, in any of its forms."""
        for word in LANGUAGES[language].forms(name):
            token = self._encode(word, prompt=False)[0]
            if token in prompt:
                return prompt.index(token)
        return None

    @staticmethod
    def canvas_length(tokens: int, rng: random.Random) -> int | None:
        """Draw a canvas for an answer of so many tokens: mostly the shortest that holds it, sometimes longer."""
        fits = [n for n in CANVAS_LENGTHS if n >= tokens]
        if not fits:
            return None
        return next((n for n in fits if rng.random() < 0.7), fits[0])
