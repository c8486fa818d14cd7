"""The plain way to run the denoising loop: one answer, all logits, scored by the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.constrain.base import Constraint
from lavida.decode.context import Context, LeftToRightContext, PrefixContext, context_for
from lavida.decode.loop import Canvas, DenoisingLoop, Step
from lavida.decode.options import DecodeOptions
from lavida.decode.score import Query, score_logits
from lavida.model.vlm import VLM

LogitsOf = Callable[[Query], Tensor]  # logits [n, V] of the rows of a query


def denoise(
    logits_of: LogitsOf,
    canvas: Canvas,
    options: DecodeOptions,
    *,
    mask_id: int,
    eos_ids: Sequence[int],
    constraint: Constraint | None = None,
) -> Iterator[Step]:
    loop = DenoisingLoop(canvas, options, mask_id=mask_id, eos_ids=eos_ids, constraint=constraint)
    while loop.query is not None:
        query = loop.query
        scores = score_logits(
            query, logits_of(query), options, mask_id=mask_id, generator=loop.generator, constraint=constraint
        )
        yield loop.step(scores)


def answer_logits(model: VLM, segments: Sequence[Tensor], cache: str | PrefixCache = "prefix") -> LogitsOf:
    """Logits [n, V] behind prompt pieces, or behind a cache that holds them."""
    prefix = PrefixContext(model, cache) if isinstance(cache, PrefixCache) else None
    options = DecodeOptions(cache="prefix" if isinstance(cache, PrefixCache) else cache)
    context = context_for(model, segments, options, prefix)
    assert not isinstance(context, LeftToRightContext)
    return lambda query: context_logits(model, context, query)


def context_logits(model: VLM, context: Context, query: Query) -> Tensor:
    hidden = None
    while hidden is None:
        passes = context.forwards(query)
        hidden = context.hidden(query, [model.denoiser(f.x, mask=f.mask, cache=f.cache) for f in passes])
    return context.head(hidden, None).to(query.ids.device)


def whole(ids: Tensor) -> Query:
    """A query about every position of a canvas."""
    return Query(ids=ids, rows=torch.arange(len(ids)), block=slice(0, len(ids)), refresh=True)
