"""Make batches of examples: rows of one length, several samples in a row if they are packed."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lavida.errors import ConfigError
from lavida.image.tiles import Grid


@dataclass(frozen=True, kw_only=True)
class Example:
    """Hold one sample as ids, -200 at the place of each picture. T counts a picture as one."""

    name: str  # "source:index"
    ids: Tensor  # [T]
    answer: Tensor  # [T] 0 = prompt, k = a target that belongs to the k-th answer
    turn: Tensor  # [T] question k and its answer are turn k, from 0 on; a system message belongs to the first
    frozen: Tensor  # [T] bool, within an answer but neither masked nor predicted
    views: list[tuple[Tensor, Grid]]  # of each picture: pixels [V, 3, S, S] and the arrangement of the tiles
    length: int  # tokens, those of the pictures counted
    images: list[Image.Image] = field(default_factory=list)  # the pictures, for a model that is told evidence
    steps: Tensor | None = None  # [T] as `diffusion.masking.draw_moments` takes them, of a sample with a trajectory
    blocks: Tensor | None = None  # [T] the block of each place of the canvas


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Hold B rows of T ids; pictures are not put in their places yet."""

    number: int  # of all micro-batches of the run, whichever process takes them
    ids: Tensor  # [B, T], -200 at the place of each picture
    answer: Tensor  # [B, T] 0 = prompt, k = a target that belongs to the row's k-th answer
    turn: Tensor  # [B, T]
    frozen: Tensor  # [B, T] bool
    real: Tensor  # [B, T] bool; False = padding that is neither attended to nor learnt
    sample: Tensor  # [B, T] which of the row's samples, from 0 on; only packed rows have several
    views: list[list[tuple[Tensor, Grid]]]  # of each row, its pictures in order
    names: list[str]  # of each row: "source:index", several with a comma between them
    samples: int
    images: list[list[Image.Image]] = field(default_factory=list)  # of each row, as in `Example`
    steps: Tensor | None = None  # [B, T] as in `Example`; None where samples have no trajectories
    blocks: Tensor | None = None  # [B, T]

    def to(self, device: str | torch.device) -> Batch:
        """Return the batch on another device."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: value.to(device) for name, value in held.items() if isinstance(value, Tensor)}
        return replace(self, **moved, views=[[(pixels.to(device), grid) for pixels, grid in row] for row in self.views])


def collate(
    examples: Sequence[Example],
    *,
    pad_id: int,
    number: int = 0,
    end_padding: int | None = None,
    rng: random.Random | None = None,
    pack: int | None = None,
    longest: int | None = None,
) -> Batch:
    """Make a batch of rows of one length.

    Args:
        examples: The samples.
        pad_id: The id of the padding.
        number: The batch's number in the run.
        end_padding: The padding behind a row's last answer belongs to that answer, and in half of the batches even the
            longest row is followed by up to this many more ids (LaViDa section 3.1). None: padding is not learnt.
        rng: Draws the number of these ids.
        pack: The tokens of a row into which as many samples are put as fit; each is then followed by 0 to `end_padding`
            ids of its own.
        longest: The tokens of a row, pictures counted, beyond which no end padding goes.
    """
    rng = rng or random.Random(number)
    limit = min(n for n in (pack, longest, sys.maxsize) if n is not None)
    if end_padding is not None:
        if pack is not None:
            counts = [rng.randint(0, end_padding) for _ in examples]
        else:
            width = max(len(e.ids) for e in examples) + max(0, rng.randint(-end_padding - 1, end_padding))
            counts = [width - len(e.ids) for e in examples]
        examples = [_extended(e, max(0, min(n, limit - e.length)), pad_id) for e, n in zip(examples, counts)]
    rows = [[example] for example in examples] if pack is None else _packed(examples, pack)
    width = max(sum(len(e.ids) for e in row) for row in rows)

    def filled(part: Callable[[int, Example], Tensor], fill: int | bool = 0) -> Tensor:
        lines = [torch.cat([part(place, e) for place, e in enumerate(row)]) for row in rows]
        return torch.stack([F.pad(line, (0, width - len(line)), value=fill) for line in lines])

    along = all(e.steps is not None for e in examples)
    if along and (pack is not None or end_padding is not None):
        raise ConfigError("samples with trajectories are neither packed nor padded; take the sample rule of few-steps")
    return Batch(
        number=number,
        ids=filled(lambda _, e: e.ids, pad_id),
        answer=filled(lambda _, e: e.answer),
        turn=filled(lambda _, e: e.turn),
        frozen=filled(lambda _, e: e.frozen, False),
        real=filled(lambda _, e: torch.ones_like(e.frozen), False),
        sample=filled(lambda place, e: torch.full_like(e.ids, place)),
        views=[[picture for e in row for picture in e.views] for row in rows],
        names=[", ".join(e.name for e in row) for row in rows],
        samples=sum(map(len, rows)),
        images=[[image for e in row for image in e.images] for row in rows],
        steps=filled(lambda _, e: _given(e.steps), -1) if along else None,
        blocks=filled(lambda _, e: _given(e.blocks)) if along else None,
    )


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "all samples of the batch have trajectories"
    return tensor


def _extended(example: Example, count: int, pad_id: int) -> Example:
    """Return the example with `count` more ids that belong to its last answer."""
    last = {"ids": pad_id, "answer": int(example.answer.max()), "turn": int(example.turn[-1]), "frozen": False}
    longer: dict[str, Any] = {k: F.pad(getattr(example, k), (0, count), value=value) for k, value in last.items()}
    return replace(example, length=example.length + count, **longer)


def _packed(examples: Sequence[Example], tokens: int) -> list[list[Example]]:
    """Pack by first fit, longest first; the answers of a row are numbered through."""
    rows: list[list[Example]] = []
    left: list[int] = []
    for example in sorted(examples, key=lambda e: -e.length):
        fits = next((i for i, room in enumerate(left) if room >= example.length), None)
        if fits is None:
            rows.append([])
            left.append(tokens)
            fits = len(rows) - 1
        before = sum(int(other.answer.max()) for other in rows[fits][-1:])
        answer = torch.where(example.answer > 0, example.answer + before, 0)
        rows[fits].append(replace(example, answer=answer))
        left[fits] -= example.length
    return rows
