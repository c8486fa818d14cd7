"""THE loop: a canvas of masks becomes text, a few tokens a step, surest first (section 3.4 of arXiv 2505.16839).

It knows no model: it says what it wants looked at and is sent what was seen, by one network with or without a cache, by
an engine that shares a forward pass among many loops, or by a test's fake. It yields; observers decide.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.constrain.base import Constraint
from lavida.decode.canvas import Canvas, find_stop
from lavida.decode.options import RULES, DecodeOptions
from lavida.decode.score import Look, Scores, score
from lavida.decode.select import adaptive_count, surest
from lavida.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one forward pass changed."""

    index: int  # from 0
    forwards: int  # passes through the model so far
    canvas: Tensor  # ids [L], masks where nothing is committed
    committed: Tensor  # positions [n] committed by this step
    confidence: Tensor  # [L]: of committed tokens when they were committed, of open ones now, 1 for given ones


Writing = Generator[Look | Step, Scores | None, None]
LogitsOf = Callable[[Look], Tensor]  # logits [n, V] of `rows`, each speaking of the token at its own position
ScoresOf = Callable[[Look], Scores]


@torch.no_grad()
def write(
    canvas: Canvas,
    options: DecodeOptions,
    *,
    mask_id: int,
    eos_ids: Sequence[int],
    generator: torch.Generator,
    constraint: Constraint | None = None,
) -> Writing:
    """Fill every mask of `canvas`: yield a Look, be sent its Scores, yield the Step.

    What is committed never changes, but for what `options.revise` has written anew. `generator`, seeded with
    `options.seed`, is the one that the scores are drawn with too. What the canvas holds behind `options.length` must be
    given: text that the answer leads up to. Raises RequestError.
    """
    _check(canvas, options, eos_ids, constraint)
    given = canvas.fixed.clone()
    sure = given.double()  # [L]
    index, stop = 0, options.length
    for block, masks, steps in _rounds(canvas, options, given, sure, mask_id, eos_ids):
        # 1. Share the block's masks out among its steps.
        for turn, count in enumerate(options.plan(masks, steps, generator)):
            # 2. Look at what is open in this block and not cut off by a stop.
            rows = block.start + (~canvas.fixed[block.start : min(block.stop, stop)]).nonzero().flatten()
            if not len(rows) and turn >= options.least_passes:
                break
            # 3. One forward pass: a token is proposed for each of them, with how sure it is.
            scores = yield Look(ids=canvas.ids, rows=rows, block=block, fresh=options.is_fresh(turn))
            sure[rows] = scores.confidence.to(sure)
            # 4. Commit the surest; the others stay masked.
            count = adaptive_count(sure[rows], count, **{rule: getattr(options, rule) for rule in RULES})
            best = surest(sure[rows], count, options.selection_temperature, generator)
            ids = scores.candidates[best]
            if constraint is not None:
                ids = constraint.commit(canvas.ids, rows, scores.candidates, best, scores.logits)
            canvas.commit(rows[best], ids)
            # 5. What ends the answer with nothing open before it makes the rest padding.
            stop = find_stop(canvas.ids[: options.length], options.stops)
            chosen = torch.cat((rows[best], _pad_after_end(canvas, options, stop, eos_ids)))
            index += 1
            held, surety = canvas.ids.clone(), sure.float()
            yield Step(index=index - 1, forwards=index, canvas=held, committed=chosen, confidence=surety)


def drive(writing: Writing, scores_of: ScoresOf) -> Iterator[Step]:
    """The steps of one loop whose looks are answered one by one."""
    event = next(writing, None)
    while event is not None:
        if isinstance(event, Look):
            event = writing.send(scores_of(event))
        else:
            yield event
            event = next(writing, None)


@torch.no_grad()
def denoise(
    logits_of: LogitsOf,
    canvas: Canvas,
    options: DecodeOptions,
    *,
    mask_id: int,
    eos_ids: Sequence[int],
    constraint: Constraint | None = None,
) -> Iterator[Step]:
    """The plain loop: one `write`, scored by the reference; arguments and errors as there."""
    generator = torch.Generator().manual_seed(options.seed)
    writing = write(canvas, options, mask_id=mask_id, eos_ids=eos_ids, generator=generator, constraint=constraint)

    def scores_of(look: Look) -> Scores:
        return score(look, logits_of(look), options, mask_id=mask_id, generator=generator, constraint=constraint)

    yield from drive(writing, scores_of)


def _check(canvas: Canvas, options: DecodeOptions, eos_ids: Sequence[int], constraint: Constraint | None) -> None:
    held = len(canvas.ids)
    if held < options.length or not canvas.fixed[options.length :].all():
        raise RequestError(f"the draft holds {held} tokens and length is {options.length}; make them equal")
    if options.stops and not eos_ids:
        raise RequestError("stops needs an end token to pad the canvas with; give eos_ids")
    if options.stops and constraint is not None:
        raise RequestError("a stop would cut off what the constraint asks for; leave out stops")
    if options.language is not None and constraint is None:
        raise RequestError("the options name a language and nothing holds the answer to it; give its constraint")
    if constraint is not None:
        constraint.check(canvas.ids)


def _rounds(
    canvas: Canvas, options: DecodeOptions, given: Tensor, sure: Tensor, mask_id: int, eos_ids: Sequence[int]
) -> Iterator[tuple[slice, int, int]]:
    """Each block, the masks in it and the steps to write them in; then once more those of it that are revised."""
    for (start, end), steps in zip(options.blocks(), options.steps_per_block(), strict=True):
        masks = int((~canvas.fixed[start:end]).sum())
        if masks:
            yield slice(start, end), masks, steps
        if masks and options.revise is not None:
            last = min(end, _end(canvas, options, eos_ids), find_stop(canvas.ids[: options.length], options.stops))
            mine = start + (~given[start:last]).nonzero().flatten()
            weak = mine[sure[mine].argsort(stable=True)[: len(mine) // 2]]
            weak = weak[sure[weak] < options.revise]
            canvas.reopen(weak, mask_id)
            if len(weak):  # at the pace at which the block was written
                yield slice(start, end), len(weak), -(-len(weak) * steps // masks)


def _end(canvas: Canvas, options: DecodeOptions, eos_ids: Sequence[int]) -> int:
    """Where the first committed end token stands, if it is to end the answer; else the length of the canvas."""
    ids, fixed = canvas.ids[: options.length], canvas.fixed[: options.length]
    ends = torch.isin(ids, torch.tensor(list(eos_ids), dtype=ids.dtype)) & fixed
    return int(ends.int().argmax()) if options.early_stop and ends.any() else options.length


def _pad_after_end(canvas: Canvas, options: DecodeOptions, stop: int, eos_ids: Sequence[int]) -> Tensor:
    """Commit an end token at every mask behind the end of the answer, if all before it is committed."""
    opened = (~canvas.fixed[: options.length]).nonzero().flatten()
    end = _end(canvas, options, eos_ids)
    if not len(opened) or opened[0] < min(end, stop):
        return opened[:0]
    token = int(canvas.ids[end]) if end < options.length else eos_ids[0]
    canvas.commit(opened, torch.full_like(opened, token))
    return opened
