"""THE loop: a canvas of masks becomes text, a few tokens a step, surest first (section 3.4 of arXiv 2505.16839).

It knows no model: `logits_of` may be a network with or without a cache, or a test's fake. It yields; observers decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.decode.canvas import Canvas
from lavida.decode.options import DecodeOptions
from lavida.decode.select import confidence, propose, surest
from lavida.diffusion.schedule import unmask_counts
from lavida.errors import RequestError

LogitsOf = Callable[[Tensor], Tensor]  # canvas ids [L] -> logits [L, V], row i speaking of token i


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
    logits_of: LogitsOf, canvas: Canvas, options: DecodeOptions, *, mask_id: int, eos_ids: Collection[int]
) -> Iterator[Step]:
    """Fill every mask of `canvas`, yielding after each forward pass; a committed position never changes."""
    if len(canvas.ids) != options.length:
        raise RequestError(f"the draft holds {len(canvas.ids)} tokens and length is {options.length}; make them equal")
    generator = torch.Generator().manual_seed(options.seed)
    sure = canvas.fixed.double()  # [L]
    index = 0
    for (start, end), steps in zip(options.blocks(), options.steps_per_block(), strict=True):
        # 1. Share the block's masks out among its steps.
        masks = int((~canvas.fixed[start:end]).sum())
        for count in unmask_counts(masks, steps, options.schedule, options.shift) if masks else ():
            if canvas.fixed[start:end].all():
                break
            # 2. One forward pass; look only at what is open in this block.
            where = start + (~canvas.fixed[start:end]).nonzero().flatten()
            logits = logits_of(canvas.ids)[where]  # [n, V]
            # 3. Propose a token for each open position and say how sure it is.
            candidates = propose(logits, mask_id, options.temperature, generator)
            sure[where] = confidence(logits, candidates, options.remasking, generator).to(sure)
            # 4. Commit the surest; the others stay masked.
            scores = torch.full_like(sure, -torch.inf)
            scores[where] = sure[where]
            chosen = surest(scores, count)
            proposed = canvas.ids.clone()
            proposed[where] = candidates.to(proposed)
            canvas.commit(chosen, proposed[chosen])
            # 5. An end token with nothing open before it ends the answer: the rest is padding.
            if options.early_stop:
                chosen = torch.cat((chosen, _pad_after_end(canvas, eos_ids)))
            index += 1
            ids, scores = canvas.ids.clone(), sure.float()
            yield Step(index=index - 1, forwards=index, canvas=ids, committed=chosen, confidence=scores)


def _pad_after_end(canvas: Canvas, eos_ids: Collection[int]) -> Tensor:
    """Commit the end token at every mask behind the first end token, if all before it is committed."""
    opened = (~canvas.fixed).nonzero().flatten()
    ends = torch.isin(canvas.ids, torch.tensor(list(eos_ids))) & canvas.fixed
    if not len(opened) or not ends[: opened[0]].any():
        return opened[:0]
    end = int(canvas.ids[ends][0])
    canvas.commit(opened, torch.full_like(opened, end))
    return opened
