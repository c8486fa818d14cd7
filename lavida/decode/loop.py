"""THE loop: a canvas of masks becomes text, a few tokens a step, surest first (section 3.4 of arXiv 2505.16839).

It knows no model: `logits_of` may be a network with or without a cache, or a test's fake. It yields; observers decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.decode.canvas import Canvas, find_stop
from lavida.decode.options import DecodeOptions
from lavida.decode.select import confidence, forbid, narrow, propose, surest
from lavida.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the loop asks the network at one step."""

    ids: Tensor  # the canvas [L]
    rows: Tensor  # positions [n] of the open tokens that it wants logits of, all in `block`
    block: slice  # the part of the canvas that is being written
    fresh: bool  # the first look at this block


LogitsOf = Callable[[Look], Tensor]  # logits [n, V] of `rows`, each speaking of the token at its own position


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one forward pass changed."""

    index: int  # from 0
    forwards: int  # passes through the model so far
    canvas: Tensor  # ids [L], masks where nothing is committed
    committed: Tensor  # positions [n] committed by this step
    confidence: Tensor  # [L]: of committed tokens when they were committed, of open ones now, 1 for given ones


@torch.no_grad()
def denoise(
    logits_of: LogitsOf, canvas: Canvas, options: DecodeOptions, *, mask_id: int, eos_ids: Sequence[int]
) -> Iterator[Step]:
    """Fill every mask of `canvas`, yielding after each forward pass; a committed position never changes.

    What the canvas holds behind `options.length` must be given: text that the answer leads up to. Raises RequestError.
    """
    _check(canvas, options, eos_ids)
    generator = torch.Generator().manual_seed(options.seed)
    sure = canvas.fixed.double()  # [L]
    index, stop = 0, options.length
    for (start, end), steps in zip(options.blocks(), options.steps_per_block(), strict=True):
        # 1. Share the block's masks out among its steps.
        masks = int((~canvas.fixed[start:end]).sum())
        for turn, count in enumerate(options.plan(masks, steps, generator) if masks else ()):
            # 2. One forward pass; look only at what is open in this block and not cut off by a stop.
            rows = start + (~canvas.fixed[start : min(end, stop)]).nonzero().flatten()
            if not len(rows) and turn >= options.least_passes:
                break
            look = Look(ids=canvas.ids, rows=rows, block=slice(start, end), fresh=turn == 0)
            logits = forbid(logits_of(look), options.banned)  # [n, V]
            # 3. Propose a token for each open position and say how sure it is.
            likely = narrow(logits, options.temperature, options.top_p, options.top_k, mask_id=mask_id)
            candidates = propose(likely, mask_id, options.temperature, generator)
            measured = likely / (options.temperature or 1) if options.sharp_confidence else logits
            sure[rows] = confidence(measured, candidates, options.remasking, generator).to(sure)
            # 4. Commit the surest; the others stay masked.
            best = surest(sure[rows], count, options.threshold, options.selection_temperature, generator)
            canvas.commit(rows[best], candidates[best])
            # 5. What ends the answer with nothing open before it makes the rest padding.
            stop = find_stop(canvas.ids[: options.length], options.stops)
            chosen = torch.cat((rows[best], _pad_after_end(canvas, options, stop, eos_ids)))
            index += 1
            ids, scores = canvas.ids.clone(), sure.float()
            yield Step(index=index - 1, forwards=index, canvas=ids, committed=chosen, confidence=scores)


def _check(canvas: Canvas, options: DecodeOptions, eos_ids: Sequence[int]) -> None:
    held = len(canvas.ids)
    if held < options.length or not canvas.fixed[options.length :].all():
        raise RequestError(f"the draft holds {held} tokens and length is {options.length}; make them equal")
    if options.stops and not eos_ids:
        raise RequestError("stops needs an end token to pad the canvas with; give eos_ids")


def _pad_after_end(canvas: Canvas, options: DecodeOptions, stop: int, eos_ids: Sequence[int]) -> Tensor:
    """Commit an end token at every mask behind the end of the answer, if all before it is committed."""
    ids, fixed = canvas.ids[: options.length], canvas.fixed[: options.length]
    opened = (~fixed).nonzero().flatten()
    ends = torch.isin(ids, torch.tensor(list(eos_ids), dtype=ids.dtype)) & fixed
    first = int(ends.int().argmax()) if options.early_stop and ends.any() else len(ids)
    if not len(opened) or opened[0] < min(first, stop):
        return opened[:0]
    end = int(ids[ends][0]) if ends.any() else eos_ids[0]
    canvas.commit(opened, torch.full_like(opened, end))
    return opened
