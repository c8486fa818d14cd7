"""Contexts: the ways in which a canvas stands behind its prompt, and the hidden states that predict its tokens.

| context | prompt | canvas | which models |
|---|---|---|---|
| `PrefixContext` | computed once; never sees the canvas | recomputed at each step | LaViDa, lavida-mini: exact |
| `FullContext` | recomputed with the canvas, sees it | recomputed | LLaDA, Dream, LLaDA-V: exact |
| `BlockContext` | kept while a block is written | the block, or what follows too | approximates the full one |
| `LeftToRightContext` | computed once | each token once | autoregressive models |
| `GuidedContext` | two of the above | two | classifier-free guidance |

A context makes no forward pass itself: it says which ones a query needs (`forwards`) and reads their results
(`hidden`), so that the driver can share them among answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from lavida.cache.block import BlockCache
from lavida.cache.prefix import PrefixCache
from lavida.decode.options import BLOCK_CACHES, RULES, DecodeOptions
from lavida.decode.score import Query
from lavida.errors import RequestError
from lavida.model.vlm import VLM
from lavida.nn.ragged import Forward


class Context(Protocol):
    """Answer queries about one canvas."""

    def head(self, hidden: Tensor, part: slice | None = None) -> Tensor:
        """Return the logits [n, v] of hidden states [n, D], of all the vocabulary or a part of it."""

    def forwards(self, query: Query) -> list[Forward]:
        """Return the forward passes that a query needs; there may be none."""

    def hidden(self, query: Query, outputs: Sequence[Tensor]) -> Tensor | None:
        """Return the hidden states [n, D] that predict the query's rows, from the outputs [1, T, D] of `forwards`.

        None asks for another round: these outputs were the prompt's.
        """


class PrefixContext:
    """Stand behind a prompt whose keys and values are kept: exact under the Prefix-DLM mask.

    Args:
        model: The network.
        cache: Holds the prompt, or what of it comes before `words`.
        words: Embeddings [1, W, D] that are computed at the first query and join the cache.
        keep: Called when they have joined it.
    """

    def __init__(
        self, model: VLM, cache: PrefixCache, words: Tensor | None = None, keep: Callable[[], None] | None = None
    ) -> None:
        self.model, self.cache, self.head = model, cache, model.denoiser.head
        self._words, self._keep = words, keep
        self._shift = model.config.denoiser.logit_shift
        _check_prompt(model, cache.length + (0 if words is None else words.shape[1]))

    def forwards(self, query: Query) -> list[Forward]:
        """Return the pass over the whole canvas; none where the prompt alone predicts the first token."""
        if self._words is not None:
            return [Forward(x=self._words, cache=self.cache)]
        if self._prompt_predicts(query):
            return []
        return [self.forward(query.ids[None])]

    def hidden(self, query: Query, outputs: Sequence[Tensor]) -> Tensor | None:
        """Return the rows of the query; as in `Context`."""
        if self._words is not None:
            self._close(outputs[0])
            return None
        if self._prompt_predicts(query):
            return self._tail()
        return self.align(outputs[0])[0, query.rows.to(outputs[0].device)]

    def prefill(self) -> None:
        """Compute the prompt now, alone."""
        if self._words is not None:
            self._close(self.model.denoiser(self._words, cache=self.cache))

    def forward(self, ids: Tensor) -> Forward:
        """Return the pass over canvases [B, L]."""
        check_room(self.model, self.cache.length + ids.shape[1])
        return Forward(x=self.model.denoiser.embed(ids.to(_device(self.model))), cache=self.cache)

    def align(self, hidden: Tensor) -> Tensor:
        """Return hidden states [B, L, D] of which row i predicts token i."""
        if not self._shift:  # else row i predicts token i + 1, and the prompt's last row the first token
            return hidden
        return torch.cat((self._tail()[None].expand(len(hidden), -1, -1), hidden[:, :-1]), 1)

    def _prompt_predicts(self, query: Query) -> bool:
        return self._shift and query.rows.tolist() == [0]

    def _tail(self) -> Tensor:
        assert self.cache.tail is not None, "the prompt was not computed"
        return self.cache.tail

    def _close(self, hidden: Tensor) -> None:
        self.cache.tail = hidden[:, -1].clone()  # it may be kept for long, the others not
        self.cache.writing, self._words = False, None
        if self._keep is not None:
            self._keep()


class FullContext:
    """Recompute the prompt pieces [1, P_i, D] with the canvas at every step; the prompt sees the canvas.

    A model with `shared_image` was trained under the Prefix-DLM mask and keeps it.
    """

    def __init__(self, model: VLM, segments: Sequence[Tensor]) -> None:
        self.model, self.head, self.segments = model, model.denoiser.head, list(segments)
        self._shift, self.length = int(model.config.denoiser.logit_shift), prompt_length(segments)
        _check_prompt(model, self.length)

    def forwards(self, query: Query) -> list[Forward]:
        """Return the pass over prompt and canvas."""
        return [self.forward(query.ids[None])]

    def hidden(self, query: Query, outputs: Sequence[Tensor]) -> Tensor:
        """Return the rows of the query; as in `Context`."""
        return self.align(outputs[0])[0, query.rows.to(outputs[0].device)]

    def forward(self, ids: Tensor) -> Forward:
        """Return the pass over the prompt and canvases [B, L]."""
        check_room(self.model, self.length + ids.shape[1])
        lengths = [*(s.shape[1] for s in self.segments), ids.shape[1]]
        x = _append(self.model, self.segments, ids)
        return Forward(x=x, mask=staircase_mask(lengths, x.device) if self.model.config.shared_image else None)

    def align(self, hidden: Tensor) -> Tensor:
        """Return the hidden states [B, L, D] of which row i predicts token i."""
        return hidden[:, self.length - self._shift : hidden.shape[1] - self._shift]


class BlockContext:
    """Approximate the full context by keys and values of an earlier pass (Fast-dLLM, arXiv 2505.22618).

    Where a query refreshes, everything is computed; else only the canvas from the block on, or with `dual` the block
    alone. For shifted logits that window begins one token earlier.
    """

    def __init__(self, model: VLM, segments: Sequence[Tensor], *, dual: bool) -> None:
        if model.config.shared_image:
            raise RequestError(
                'this model keeps its prompt apart from the answer; choose cache "prefix", which is exact'
            )
        self.model, self.head, self._segments, self._dual = model, model.denoiser.head, list(segments), dual
        self._shift, self._length = int(model.config.denoiser.logit_shift), prompt_length(segments)
        self._cache, self._start = BlockCache(model.config.denoiser.n_layers), 0
        _check_prompt(model, self._length)

    def forwards(self, query: Query) -> list[Forward]:
        """Return the pass over everything, or over the window."""
        check_room(self.model, self._length + len(query.ids))
        x = _append(self.model, self._segments, query.ids[None])
        self._start, end = 0, x.shape[1]
        if query.refresh:
            self._cache.refresh()
        else:
            self._start = self._length + query.block.start - self._shift
            end = self._length + query.block.stop if self._dual else end
            self._cache.look_at(self._start, end)
        return [Forward(x=x[:, self._start : end], cache=self._cache)]

    def hidden(self, query: Query, outputs: Sequence[Tensor]) -> Tensor:
        """Return the rows of the query; as in `Context`."""
        return outputs[0][0, query.rows.to(outputs[0].device) + (self._length - self._shift - self._start)]


class LeftToRightContext:
    """Predict the first open token alone, from keys and values of the prompt and of all that is written."""

    def __init__(self, prompt: PrefixContext, room: int) -> None:
        prompt.prefill()
        self.model, self.head = prompt.model, prompt.head
        self._cache, self._read = prompt.cache.fork(room), 0

    def forwards(self, query: Query) -> list[Forward]:
        """Return the pass over the tokens written since the last query."""
        (row,) = query.rows.tolist()
        check_room(self.model, self._cache.length + len(query.ids) - self._read)
        new, self._read = query.ids[self._read : row], row
        if not len(new):
            return []
        return [Forward(x=self.model.denoiser.embed(new[None].to(_device(self.model))), cache=self._cache)]

    def hidden(self, query: Query, outputs: Sequence[Tensor]) -> Tensor:
        """Return the hidden state [1, D] of the last token written."""
        if outputs:
            self._cache.tail = outputs[0][:, -1]
        assert self._cache.tail is not None, "the prompt was not computed"
        return self._cache.tail


class StaleContext:
    """Show another context the first `count` positions of the canvas as they were at the first query."""

    def __init__(self, context: Context, count: int) -> None:
        self._context, self._count, self.head = context, count, context.head
        self._first: Tensor | None = None

    def forwards(self, query: Query) -> list[Forward]:
        """Return the passes over the canvas that is shown."""
        return self._context.forwards(self._shown(query))

    def hidden(self, query: Query, outputs: Sequence[Tensor]) -> Tensor | None:
        """Return the rows of the query; as in `Context`."""
        return self._context.hidden(self._shown(query), outputs)

    def _shown(self, query: Query) -> Query:
        if self._first is None:
            self._first = query.ids[: self._count].clone()
        return replace(query, ids=torch.cat((self._first, query.ids[self._count :])))


@dataclass(frozen=True, kw_only=True)
class Unconditional:
    """Hold the prompt that guidance leads away from."""

    segments: list[Tensor] = field(default_factory=list)  # [1, P_i, D]; not read if there is a prefix
    prefix: PrefixContext | None = None
    stale: int = 0  # so many positions of the canvas are shown to it as they were at first


class GuidedContext:
    """Lead away from an answer to another prompt: logits u + (scale + 1) (c - u) (arXiv 2502.09992).

    The hidden states of both stand side by side [n, 2 D]; `head` reads them.
    """

    def __init__(self, conditional: Context, unconditional: Context, scale: float) -> None:
        self._both, self._heads, self._scale = (conditional, unconditional), conditional.head, scale
        self._counts = [0, 0]
        for context in self._both:
            if isinstance(context, PrefixContext):
                context.prefill()

    def forwards(self, query: Query) -> list[Forward]:
        """Return the passes of both."""
        each = [context.forwards(query) for context in self._both]
        self._counts = [len(some) for some in each]
        return [*each[0], *each[1]]

    def hidden(self, query: Query, outputs: Sequence[Tensor]) -> Tensor:
        """Return the hidden states [n, 2 D] of both."""
        at = self._counts[0]
        both = [c.hidden(query, some) for c, some in zip(self._both, (outputs[:at], outputs[at:]))]
        return torch.cat([hidden for hidden in both if hidden is not None], -1)

    def head(self, hidden: Tensor, part: slice | None = None) -> Tensor:
        """Return the guided logits [n, v]."""
        c, u = (self._heads(half, part) for half in hidden.chunk(2, -1))
        return u + (self._scale + 1) * (c - u)


def context_for(
    model: VLM,
    segments: Sequence[Tensor],
    options: DecodeOptions,
    prefix: PrefixContext | None = None,
    unconditional: Unconditional | None = None,
) -> Context:
    """Choose the context that the options ask for.

    Args:
        model: The network.
        segments: Prompt pieces [1, P_i, D] of `VLM.segments`; not read if `prefix` is given.
        options: `cache` and `guidance` decide, and `length` is the room behind the prompt.
        prefix: The prompt, if its keys are kept already or are to be.
        unconditional: What guidance leads away from; None is a prompt of masks of the same length.

    Raises:
        RequestError: The model cannot stand behind its prompt in that way.
    """
    context = _unguided(model, segments, options, prefix)
    if not options.guidance:
        return context
    if prefix is not None:
        prefix.prefill()
    if unconditional is None:
        length = prefix.cache.length if prefix is not None else prompt_length(segments)
        nothing = torch.full((1, length), model.config.denoiser.mask_id, device=_device(model))
        unconditional = Unconditional(segments=[model.denoiser.embed(nothing)])
    blind = _unguided(model, unconditional.segments, options, unconditional.prefix)
    if unconditional.stale:
        blind = StaleContext(blind, unconditional.stale)
    return GuidedContext(context, blind, options.guidance)


def _unguided(model: VLM, segments: Sequence[Tensor], options: DecodeOptions, prefix: PrefixContext | None) -> Context:
    if prefix is None and options.cache in BLOCK_CACHES:
        return BlockContext(model, segments, dual=options.cache == "dual")
    if prefix is None and options.cache == "none":
        return FullContext(model, segments)
    if prefix is None:
        prefix = PrefixContext(model, model.prefill(list(segments), room=options.length))
    if model.config.denoiser.autoregressive:
        return LeftToRightContext(prefix, options.length)
    return prefix


def prompt_predicts_first(model: VLM, fixed: Tensor, options: DecodeOptions) -> bool:
    """Return whether the prompt's last state writes the first token of a canvas, as in Dream behind a prefix cache.

    Args:
        model: The network; its logits must be shifted.
        fixed: bool [L], False where the canvas is open; more than the first position must be.
        options: `cache` must be "prefix".
    """
    shifted = model.config.denoiser.logit_shift and not model.config.denoiser.autoregressive
    return shifted and options.cache == "prefix" and not fixed[0] and int((~fixed).sum()) > 1


def check_left_to_right(fixed: Tensor, options: DecodeOptions) -> None:
    """Raise RequestError for options, or given tokens of a canvas [L], that an autoregressive model cannot follow."""
    if options.block != 1:
        raise RequestError("this model writes one token after the other; leave out steps, block and counts")
    for name in (*RULES, "revise"):
        if getattr(options, name) is not None:
            raise RequestError(f"this model writes one token after the other, for good; leave out {name}")
    if options.cache in BLOCK_CACHES:
        raise RequestError(f'this model writes left to right, without the cache {options.cache!r}; choose "prefix"')
    if options.guidance:
        raise RequestError("this model was never shown a prompt of masks; leave out guidance")
    if fixed.any():
        raise RequestError("this model does not see what stands behind a gap; fill a draft in with a diffusion model")


def staircase_mask(lengths: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return the mask [1, 1, L, L] under which each piece sees itself and the pieces before it."""
    counts = torch.tensor(lengths, device=device)
    piece = torch.arange(len(lengths), device=device).repeat_interleave(counts)
    return (piece[:, None] >= piece[None, :])[None, None]


def prompt_length(segments: Sequence[Tensor]) -> int:
    """Return the number of tokens of prompt pieces [1, P_i, D]."""
    return sum(segment.shape[1] for segment in segments)


def _append(model: VLM, segments: Sequence[Tensor], ids: Tensor) -> Tensor:
    """Return the embeddings [B, P + L, D] of the prompt and, behind it, canvases [B, L]."""
    x = model.denoiser.embed(ids.to(_device(model)))
    return torch.cat((*(s.expand(len(ids), -1, -1) for s in segments), x), 1)


def _device(model: VLM) -> torch.device:
    return model.denoiser.device


def _check_prompt(model: VLM, length: int) -> None:
    if model.config.denoiser.logit_shift and length == 0:
        raise RequestError("this model predicts each token from the one before; give it a prompt of at least one token")


def check_room(model: VLM, length: int) -> None:
    """Raise RequestError for a prompt and answer of more tokens than the model holds."""
    limit = model.config.denoiser.max_length
    if length > limit:
        raise RequestError(f"prompt and answer take {length} tokens and the model holds {limit}; shorten one of them")
