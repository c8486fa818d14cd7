"""From a model and a prompt to the steps of an answer: cached, uncached, guided; or left to right."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lavida.cache.block import BlockCache
from lavida.cache.prefix import PrefixCache
from lavida.decode.canvas import Canvas
from lavida.decode.loop import LogitsOf, Look, Step, denoise
from lavida.decode.options import BLOCK_CACHES, DecodeOptions
from lavida.decode.select import forbid, propose
from lavida.errors import RequestError
from lavida.model.vlm import VLM

HiddenOf = Callable[[Tensor], Tensor]  # canvases [B, L] -> hidden states [B, L, D], row i speaking of token i


def answer_steps(
    model: VLM,
    segments: list[Tensor],
    options: DecodeOptions,
    *,
    draft: Tensor | None = None,
    cache: PrefixCache | None = None,
) -> Iterator[Step]:
    """The steps of an answer to the prompt pieces [1, P_i, D] of `VLM.segments`, or to what `cache` holds.

    `draft` [L] is filled in where it holds the mask id; behind `options.length` it must hold none. Raises RequestError.
    """
    denoiser = model.config.denoiser
    logits_of = answer_logits(model, segments, cache or options.cache)
    if options.guidance:
        length = cache.length if cache else _length(segments)
        nothing = model.denoiser.embed(torch.full((1, length), denoiser.mask_id, device=_device(model)))
        logits_of = guided(logits_of, answer_logits(model, [nothing], options.cache), options.guidance)
    blank = Canvas.blank(options.length, denoiser.mask_id)
    canvas = blank if draft is None else Canvas.draft(draft, denoiser.mask_id)
    alone = int((~canvas.fixed).sum()) == 1
    if denoiser.autoregressive:
        _check_left_to_right(canvas, options)
    elif denoiser.logit_shift and options.cache == "prefix" and not canvas.fixed[0] and not alone:
        _commit_first(logits_of, canvas, options, denoiser.mask_id)
    yield from denoise(logits_of, canvas, options, mask_id=denoiser.mask_id, eos_ids=denoiser.eos_ids)


def answer_logits(model: VLM, segments: list[Tensor], cache: str | PrefixCache = "prefix") -> LogitsOf:
    """Logits of a canvas behind the prompt pieces [1, P_i, D] of `VLM.segments`; `cache` as in `answer_hidden`.

    "block" and "dual" approximate "none" as Fast-dLLM does (arXiv 2505.22618): a full pass at the start of a block,
    then only the canvas from the block on, or only the block itself, behind the keys of that pass.
    """
    if cache in BLOCK_CACHES:
        return _Blockwise(model, segments, dual=cache == "dual")
    held = model.prefill(segments) if cache == "prefix" else cache
    hidden_of = answer_hidden(model, segments, held)
    if model.config.denoiser.autoregressive and isinstance(held, PrefixCache):
        return _NextToken(model, held)
    known = held.tail if isinstance(held, PrefixCache) and model.config.denoiser.logit_shift else None

    def logits_of(look: Look) -> Tensor:
        if known is not None and look.rows.tolist() == [0]:  # the prompt alone speaks of the first token
            return model.denoiser.head(known).to(look.ids.device)
        hidden = hidden_of(look.ids[None])[0, look.rows.to(_device(model))]
        return model.denoiser.head(hidden).to(look.ids.device)

    return logits_of


def answer_hidden(model: VLM, segments: list[Tensor], cache: str | PrefixCache = "prefix") -> HiddenOf:
    """Hidden states of canvases behind the prompt pieces [1, P_i, D], aligned with the tokens they speak of.

    "prefix" computes the prompt once: exact under the Prefix-DLM mask. A PrefixCache from `VLM.prefill` is used as it
    is, and `segments` may then be empty. "none" recomputes everything at each call: the prompt sees the canvas too,
    except in a model with `shared_image`, which was trained with the prefix mask and keeps it.
    """
    denoiser, shift = model.denoiser, model.config.denoiser.logit_shift
    length = cache.length if isinstance(cache, PrefixCache) else _length(segments)
    _check_prompt(model, length)
    if cache == "none":
        return _uncached(model, segments, length)
    held = cache if isinstance(cache, PrefixCache) else model.prefill(segments)

    def hidden_of(ids: Tensor) -> Tensor:
        _check_room(model, length + ids.shape[1])
        hidden = denoiser(denoiser.embed(ids.to(_device(model))), cache=held)
        if shift:  # row i speaks of token i + 1, so the prompt's last row speaks of the first token
            hidden = torch.cat((held.tail[None].expand(len(ids), -1, -1), hidden[:, :-1]), 1)
        return hidden

    return hidden_of


def _uncached(model: VLM, segments: list[Tensor], length: int) -> HiddenOf:
    denoiser, shift = model.denoiser, model.config.denoiser.logit_shift

    def hidden_of(ids: Tensor) -> Tensor:
        _check_room(model, length + ids.shape[1])
        x = _behind(model, segments, ids)
        lengths = [*(s.shape[1] for s in segments), ids.shape[1]]
        mask = staircase(lengths, x.device) if model.config.shared_image else None
        first = length - int(shift)
        return denoiser(x, mask=mask)[:, first : first + ids.shape[1]]

    return hidden_of


class _Blockwise:
    """Logits from a `BlockCache`; for shifted logits the window begins one token before the block."""

    def __init__(self, model: VLM, segments: list[Tensor], *, dual: bool) -> None:
        if model.config.shared_image:
            raise RequestError(
                'this model keeps its prompt apart from the answer; choose cache "prefix", which is exact'
            )
        self._model, self._segments, self._dual = model, segments, dual
        self._length = _length(segments)
        _check_prompt(model, self._length)
        self._cache = BlockCache(model.config.denoiser.n_layers)

    def __call__(self, look: Look) -> Tensor:
        denoiser, shift = self._model.denoiser, int(self._model.config.denoiser.logit_shift)
        _check_room(self._model, self._length + len(look.ids))
        x = _behind(self._model, self._segments, look.ids[None])
        start, end = 0, x.shape[1]
        if look.fresh:
            self._cache.refresh()
        else:
            start = self._length + look.block.start - shift
            end = self._length + look.block.stop if self._dual else end
            self._cache.look_at(start, end)
        hidden = denoiser(x[:, start:end], cache=self._cache)[0]
        rows = look.rows.to(hidden.device) + (self._length - shift - start)
        return denoiser.head(hidden[rows]).to(look.ids.device)


class _NextToken:
    """Logits of the first open token alone, from keys and values of the prompt and of all that is written."""

    def __init__(self, model: VLM, held: PrefixCache) -> None:
        self._model, self._cache, self._read = model, held.fork(), 0

    def __call__(self, look: Look) -> Tensor:
        denoiser, (row,) = self._model.denoiser, look.rows.tolist()
        _check_room(self._model, self._cache.length + len(look.ids) - self._read)
        new = look.ids[self._read : row].to(_device(self._model))
        if len(new):
            self._cache.tail = denoiser(denoiser.embed(new[None]), cache=self._cache)[:, -1]
            self._read = row
        return denoiser.head(self._cache.tail).to(look.ids.device)


def _check_left_to_right(canvas: Canvas, options: DecodeOptions) -> None:
    if options.block != 1 or options.threshold is not None:
        raise RequestError("this model writes one token after the other; leave out steps, block, counts and threshold")
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


def guided(conditional: LogitsOf, unconditional: LogitsOf, scale: float) -> LogitsOf:
    """Classifier-free guidance: u + (scale + 1) (c - u); `unconditional` sees a prompt of masks (arXiv 2502.09992)."""
    if scale == 0:
        return conditional

    def logits_of(look: Look) -> Tensor:
        u = unconditional(look)
        return u + (scale + 1) * (conditional(look) - u)

    return logits_of


def _commit_first(logits_of: LogitsOf, canvas: Canvas, options: DecodeOptions, mask_id: int) -> None:
    """Write the likeliest first token, which the prompt alone decides, as the official Dream code does with a cache."""
    first = torch.zeros(1, dtype=torch.long)
    look = Look(ids=canvas.ids, rows=first, block=slice(0, 1), fresh=True)
    logits = forbid(logits_of(look), options.banned)
    canvas.commit(first, propose(logits, mask_id, 0.0, torch.Generator()))


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
