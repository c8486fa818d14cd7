"""From a model and a prompt to the steps of an answer: cached, uncached, guided; or left to right.

An answer is a coroutine (`answering`): it yields what it wants computed with the weights and is sent the result, so it
does not matter who computes it, and with what beside it. `steps_alone` does so one by one, `lavida.engine` for many
answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import torch
from torch import Tensor

from lavida.cache.block import BlockCache
from lavida.cache.prefix import PrefixCache
from lavida.constrain.base import Constraint
from lavida.decode.canvas import Canvas
from lavida.decode.fused import HeadOf, in_one_piece, lean_scores
from lavida.decode.loop import LogitsOf, Step, write
from lavida.decode.options import BLOCK_CACHES, RULES, DecodeOptions
from lavida.decode.score import Look
from lavida.decode.select import forbid, propose
from lavida.errors import RequestError
from lavida.model.passes import Pass, Passing, Reading, alone
from lavida.model.vlm import VLM

HiddenOf = Callable[[Tensor], Tensor]  # canvases [B, L] -> hidden states [B, L, D], row i speaking of token i
RowsOf = Callable[[Look], Passing[Tensor]]  # hidden states [n, D] that speak of a look's rows
Answering = Generator[Pass | Reading | Step, Tensor | None, Step | None]  # returns the last step, if any


def answer_steps(
    model: VLM,
    segments: list[Tensor],
    options: DecodeOptions,
    *,
    draft: Tensor | None = None,
    cache: PrefixCache | None = None,
    constraint: Constraint | None = None,
) -> Iterator[Step]:
    """The steps of an answer to the prompt pieces [1, P_i, D] of `VLM.segments`, or to what `cache` holds.

    `draft` [L] is filled in where it holds the mask id; behind `options.length` it must hold none. Raises RequestError.
    """
    return steps_alone(model, answering(model, segments, options, draft=draft, cache=cache, constraint=constraint))


@torch.no_grad()
def steps_alone(model: VLM, answer: Answering) -> Iterator[Step]:
    """The steps of an answer whose passes are made one by one, as they are asked for."""
    event = next(answer, None)
    while event is not None:
        if isinstance(event, Step):
            yield event
            event = next(answer, None)
        elif isinstance(event, Pass):
            event = answer.send(model.denoiser(event.x, mask=event.mask, cache=event.cache))
        else:  # alone, a part of the vocabulary at a time is read: nothing of canvas x vocabulary
            event = answer.send(None)


@torch.no_grad()
def answering(
    model: VLM,
    segments: list[Tensor],
    options: DecodeOptions,
    *,
    draft: Tensor | None = None,
    cache: PrefixCache | None = None,
    constraint: Constraint | None = None,
) -> Answering:
    """The coroutine of `answer_steps`; it yields the steps, and on the way to each

    a Pass, and is sent its hidden states [1, T, D], which are then its own;
    a Reading, and is sent its logits [n, V], likewise, or None: then it reads the hidden states itself.
    """
    denoiser, head, room = model.config.denoiser, model.denoiser.head, options.length
    rows_of = yield from answer_rows(model, segments, cache or options.cache, room=room)
    if options.guidance:
        length = cache.length if cache else _length(segments)
        nothing = model.denoiser.embed(torch.full((1, length), denoiser.mask_id, device=_device(model)))
        blind = yield from answer_rows(model, [nothing], options.cache, room=room)
        rows_of, head = guided(rows_of, blind, head, options.guidance)
    blank = Canvas.blank(options.length, denoiser.mask_id)
    canvas = blank if draft is None else Canvas.draft(draft, denoiser.mask_id)
    if denoiser.autoregressive:
        check_left_to_right(canvas, options)
    elif prompt_decides_first(model, canvas, options):
        look = Look(ids=canvas.ids, rows=torch.zeros(1, dtype=torch.long), block=slice(0, 1), fresh=True)
        hidden = yield from rows_of(look)
        commit_first(look, head(hidden, None), canvas, options, denoiser.mask_id, constraint)
    generator = torch.Generator().manual_seed(options.seed)
    shared = {"mask_id": denoiser.mask_id, "generator": generator, "constraint": constraint}
    writing = write(canvas, options, eos_ids=denoiser.eos_ids, **shared)
    event, last = next(writing, None), None
    while event is not None:
        if isinstance(event, Look):
            hidden, read = (yield from rows_of(event)), head
            if not options.guidance and in_one_piece(len(hidden), denoiser.vocab_size, options):
                logits = yield Reading(hidden=hidden)
                hidden, read = (hidden, read) if logits is None else (logits, _part)
            event = writing.send(lean_scores(event, hidden, read, denoiser.vocab_size, options, **shared))
        else:
            yield event
            last, event = event, next(writing, None)
    return last


def _part(logits: Tensor, part: slice | None) -> Tensor:
    return logits if part is None else logits[:, part]


def answer_logits(model: VLM, segments: list[Tensor], cache: str | PrefixCache = "prefix") -> LogitsOf:
    """Logits [n, V] of what is looked at behind the prompt pieces [1, P_i, D]; `cache` as in `answer_rows`."""
    rows_of = alone(model.denoiser, answer_rows(model, segments, cache))
    return lambda look: model.denoiser.head(alone(model.denoiser, rows_of(look))).to(look.ids.device)


def answer_rows(
    model: VLM, segments: list[Tensor], cache: str | PrefixCache = "prefix", *, room: int = 0
) -> Passing[RowsOf]:
    """Hidden states of what is looked at behind the prompt pieces [1, P_i, D] of `VLM.segments`.

    `cache` as in `answer_hidden`. "block" and "dual" approximate "none" as Fast-dLLM does (arXiv 2505.22618): a full
    pass where a look is fresh, then only the canvas from the block on, or only the block itself, behind the keys of
    that pass. `room` is the length of the canvas, if it is known.
    """
    if cache in BLOCK_CACHES:
        return _Blockwise(model, segments, dual=cache == "dual")
    held = (yield from model.prefilling(segments, room=room)) if cache == "prefix" else cache
    hidden_of = _hidden(model, segments, held)
    if model.config.denoiser.autoregressive and isinstance(held, PrefixCache):
        return _NextToken(model, held, room)
    known = held.tail if isinstance(held, PrefixCache) and model.config.denoiser.logit_shift else None

    def rows_of(look: Look) -> Passing[Tensor]:
        if known is not None and look.rows.tolist() == [0]:  # the prompt alone speaks of the first token
            return known
        hidden = yield from hidden_of(look.ids[None])
        return hidden[0, look.rows.to(_device(model))]

    return rows_of


def answer_hidden(model: VLM, segments: list[Tensor], cache: str | PrefixCache = "prefix") -> HiddenOf:
    """Hidden states of canvases behind the prompt pieces [1, P_i, D], aligned with the tokens they speak of.

    "prefix" computes the prompt once: exact under the Prefix-DLM mask. A PrefixCache from `VLM.prefill` is used as it
    is, and `segments` may then be empty. "none" recomputes everything at each call: the prompt sees the canvas too,
    except in a model with `shared_image`, which was trained with the prefix mask and keeps it.
    """
    hidden_of = _hidden(model, segments, model.prefill(segments) if cache == "prefix" else cache)
    return lambda ids: alone(model.denoiser, hidden_of(ids))


def _hidden(model: VLM, segments: list[Tensor], cache: str | PrefixCache) -> Callable[[Tensor], Passing[Tensor]]:
    """What `answer_hidden` does, as a coroutine; `cache` is "none" or holds the prompt."""
    length = cache.length if isinstance(cache, PrefixCache) else _length(segments)
    _check_prompt(model, length)
    denoiser, shift = model.denoiser, int(model.config.denoiser.logit_shift)

    def cached(ids: Tensor) -> Passing[Tensor]:
        _check_room(model, length + ids.shape[1])
        hidden = yield Pass(x=denoiser.embed(ids.to(_device(model))), cache=cache)
        if shift:  # row i speaks of token i + 1, so the prompt's last row speaks of the first token
            hidden = torch.cat((cache.tail[None].expand(len(ids), -1, -1), hidden[:, :-1]), 1)
        return hidden

    def uncached(ids: Tensor) -> Passing[Tensor]:
        _check_room(model, length + ids.shape[1])
        x = _behind(model, segments, ids)
        lengths = [*(s.shape[1] for s in segments), ids.shape[1]]
        mask = staircase(lengths, x.device) if model.config.shared_image else None
        hidden = yield Pass(x=x, mask=mask)
        return hidden[:, length - shift : length - shift + ids.shape[1]]

    return uncached if cache == "none" else cached


class _Blockwise:
    """Hidden states from a `BlockCache`; for shifted logits the window begins one token before the block."""

    def __init__(self, model: VLM, segments: list[Tensor], *, dual: bool) -> None:
        if model.config.shared_image:
            raise RequestError(
                'this model keeps its prompt apart from the answer; choose cache "prefix", which is exact'
            )
        self._model, self._segments, self._dual = model, segments, dual
        self._length = _length(segments)
        _check_prompt(model, self._length)
        self._cache = BlockCache(model.config.denoiser.n_layers)

    def __call__(self, look: Look) -> Passing[Tensor]:
        shift = int(self._model.config.denoiser.logit_shift)
        _check_room(self._model, self._length + len(look.ids))
        x = _behind(self._model, self._segments, look.ids[None])
        start, end = 0, x.shape[1]
        if look.fresh:
            self._cache.refresh()
        else:
            start = self._length + look.block.start - shift
            end = self._length + look.block.stop if self._dual else end
            self._cache.look_at(start, end)
        hidden = (yield Pass(x=x[:, start:end], cache=self._cache))[0]
        return hidden[look.rows.to(hidden.device) + (self._length - shift - start)]


class _NextToken:
    """What speaks of the first open token alone, from keys and values of the prompt and of all that is written."""

    def __init__(self, model: VLM, held: PrefixCache, room: int) -> None:
        self._model, self._cache, self._read = model, held.fork(room), 0

    def __call__(self, look: Look) -> Passing[Tensor]:
        (row,) = look.rows.tolist()
        _check_room(self._model, self._cache.length + len(look.ids) - self._read)
        new = look.ids[self._read : row].to(_device(self._model))
        if len(new):
            hidden = yield Pass(x=self._model.denoiser.embed(new[None]), cache=self._cache)
            self._cache.tail = hidden[:, -1]
            self._read = row
        return self._cache.tail


def check_left_to_right(canvas: Canvas, options: DecodeOptions) -> None:
    """Raises RequestError for what a model that writes one token after the other cannot do."""
    if options.block != 1:
        raise RequestError("this model writes one token after the other; leave out steps, block and counts")
    for name in (*RULES, "revise"):
        if getattr(options, name) is not None:
            raise RequestError(f"this model writes one token after the other, for good; leave out {name}")
    if options.cache in BLOCK_CACHES:
        raise RequestError(f'this model writes left to right, without the cache {options.cache!r}; choose "prefix"')
    if options.guidance:
        raise RequestError("this model was never shown a prompt of masks; leave out guidance")
    if canvas.fixed.any():
        raise RequestError("this model does not see what stands behind a gap; fill a draft in with a diffusion model")


def staircase(lengths: list[int], device: torch.device | str = "cpu") -> Tensor:
    """Mask [1, 1, L, L] under which each piece sees itself and the pieces before it."""
    piece = torch.arange(len(lengths), device=device).repeat_interleave(torch.tensor(lengths, device=device))
    return (piece[:, None] >= piece[None, :])[None, None]


def guided(conditional: RowsOf, unconditional: RowsOf, head: HeadOf, scale: float) -> tuple[RowsOf, HeadOf]:
    """Classifier-free guidance: u + (scale + 1) (c - u) of the logits; `unconditional` sees a prompt of masks.

    The hidden states of both stand side by side [n, 2 D], and the head that comes back reads them (arXiv 2502.09992).
    """

    def rows_of(look: Look) -> Passing[Tensor]:
        seen = yield from conditional(look)
        blind = yield from unconditional(look)
        return torch.cat((seen, blind), -1)

    def guided_head(hidden: Tensor, part: slice | None = None) -> Tensor:
        c, u = (head(half, part) for half in hidden.chunk(2, -1))
        return u + (scale + 1) * (c - u)

    return rows_of, guided_head


def prompt_decides_first(model: VLM, canvas: Canvas, options: DecodeOptions) -> bool:
    """Whether the first token is to be written before the first step, as the official Dream code does with a cache."""
    shifted = model.config.denoiser.logit_shift and not model.config.denoiser.autoregressive
    return shifted and options.cache == "prefix" and not canvas.fixed[0] and int((~canvas.fixed).sum()) > 1


def commit_first(
    look: Look, logits: Tensor, canvas: Canvas, options: DecodeOptions, mask_id: int, constraint: Constraint | None
) -> None:
    """Write the likeliest token at the one row of `look`, by the logits [1, V] that the prompt's last state gives."""
    logits = forbid(logits.to(look.ids.device), options.banned)
    allowed = None if constraint is None else constraint.allowed(look.ids, look.rows)
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
    ids = propose(logits, mask_id, 0.0, torch.Generator())
    if constraint is not None:  # which has the last word, as in the loop
        ids = constraint.commit(look.ids, look.rows, ids, torch.tensor([0]), logits)
    canvas.commit(look.rows, ids)


def _behind(model: VLM, segments: list[Tensor], ids: Tensor) -> Tensor:
    """Embeddings [B, P + L, D] of the prompt and, behind it, canvases [B, L]."""
    x = model.denoiser.embed(ids.to(_device(model)))
    return torch.cat((*(s.expand(len(ids), -1, -1) for s in segments), x), 1)


def _length(segments: list[Tensor]) -> int:
    return sum(segment.shape[1] for segment in segments)


def _device(model: VLM) -> torch.device:
    return model.denoiser.embedding.weight.device


def _check_prompt(model: VLM, length: int) -> None:
    if model.config.denoiser.logit_shift and length == 0:
        raise RequestError("this model predicts each token from the one before; give it a prompt of at least one token")


def _check_room(model: VLM, length: int) -> None:
    limit = model.config.denoiser.max_length
    if length > limit:
        raise RequestError(f"prompt and answer take {length} tokens and the model holds {limit}; shorten one of them")
