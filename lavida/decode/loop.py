"""The denoising loop: a canvas of mask tokens becomes text, a few tokens a step (section 3.4 of arXiv 2505.16839).

The loop knows no model. It tells what it wants to know of the canvas (`query`) and is told in `step`; who computes the
answer (`decode.driver`, a test's fake) and who watches the steps is not its concern.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lavida.constrain.base import Constraint
from lavida.decode.noise import Noise
from lavida.decode.options import RULES, DecodeOptions
from lavida.decode.score import Query, Scores
from lavida.decode.select import adaptive_count, select_positions
from lavida.diffusion.reveal import annealed
from lavida.errors import RequestError

_LEAST = 1e-20  # of a confidence before its logarithm


@dataclass(kw_only=True)
class Canvas:
    """Hold the answer while it is written: a position that is not `fixed` holds the mask token."""

    ids: Tensor  # [L]
    fixed: Tensor  # bool [L]; a fixed position is not written again

    @classmethod
    def blank(cls, length: int, mask_id: int) -> Canvas:
        """Return a canvas of mask tokens."""
        return cls(ids=torch.full((length,), mask_id), fixed=torch.zeros(length, dtype=torch.bool))

    @classmethod
    def draft(cls, ids: Tensor, mask_id: int) -> Canvas:
        """Return a canvas on which the masks of a draft [L] are open and everything else is kept."""
        return cls(ids=ids.clone(), fixed=ids != mask_id)

    def commit(self, positions: Tensor, ids: Tensor) -> None:
        """Write `ids` [n] at the open `positions` [n]."""
        assert not self.fixed[positions].any(), "a committed position was written again"
        self.ids[positions] = ids
        self.fixed[positions] = True

    def reopen(self, positions: Tensor, mask_id: int) -> None:
        """Mask `positions` [n] again."""
        self.ids[positions] = mask_id
        self.fixed[positions] = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """Describe the change that one step made."""

    index: int  # from 0
    forwards: int  # forward passes of the denoiser over the canvas so far (NFE)
    canvas: Tensor  # ids [L], the mask token where nothing is committed
    committed: Tensor  # positions [n] that this step committed
    confidence: Tensor  # [L]: of committed tokens when they were committed, of open ones now, 1 for given ones


class DenoisingLoop:
    """Fill every mask of a canvas: read `query`, call `step` with its scores, until `query` is None.

    A committed token never changes, except where `options.revise` reopens it. Behind `options.length` the canvas must
    be given: text that the answer leads up to.

    Args:
        canvas: Written in place.
        options: How many tokens a step commits, which, and when the answer is finished.
        mask_id: The mask token.
        eos_ids: Tokens that end an answer; the first pads what is cut off by a stop.
        constraint: Has the last word on the tokens that are committed.
        first_from_prompt: Write the first token by the prompt's own last hidden state, before any forward pass over
            the canvas, as the official Dream code does behind a prefix cache. The step counts no forward pass.
        noise: Takes the place of the loop's own generator, to draw what official code draws.

    Raises:
        RequestError: The canvas or the constraint does not go with the options.
    """

    def __init__(
        self,
        canvas: Canvas,
        options: DecodeOptions,
        *,
        mask_id: int,
        eos_ids: Sequence[int],
        constraint: Constraint | None = None,
        first_from_prompt: bool = False,
        noise: Noise | None = None,
    ) -> None:
        _check(canvas, options, eos_ids, constraint)
        self.canvas, self.options, self.mask_id, self.constraint = canvas, options, mask_id, constraint
        self.noise = noise
        self.generator = torch.Generator().manual_seed(options.seed)  # of everything that this answer draws
        self._eos, self._first = tuple(eos_ids), first_from_prompt
        self._given = canvas.fixed.clone()
        self._confidence = canvas.fixed.double()  # [L]
        self._stop = options.length  # where the text is cut off
        self._index = self._forwards = 0
        self._queries = self._plan()
        self._count = 0  # tokens to commit at this step
        self._turn = 0, 1  # this step of a block, and all of them
        self.query: Query | None = None
        self._next()

    def _plan(self) -> Iterator[tuple[Query, int]]:
        """Yield the query of each step and the number of tokens that it commits."""
        canvas, options = self.canvas, self.options
        if self._first:
            row = torch.zeros(1, dtype=torch.long)
            yield Query(ids=canvas.ids, rows=row, block=slice(0, 1), refresh=True, greedy=True), 1
            options = _less_first(options)
        for block, masks, steps in self._rounds():
            # 1. Divide the masks of the block among its steps.
            counts = options.plan(masks, steps, self.generator)
            for turn, count in enumerate(counts):
                # 2. Ask about the positions of the block that are open and not cut off by a stop.
                rows = block.start + (~canvas.fixed[block.start : min(block.stop, self._stop)]).nonzero().flatten()
                if not len(rows) and turn >= options.least_passes:
                    break
                self._turn = turn, len(counts)
                yield Query(ids=canvas.ids, rows=rows, block=block, refresh=options.is_fresh(turn)), count

    def step(self, scores: Scores) -> Step:
        """Commit what the scores of `query` decide, and move `query` on."""
        assert self.query is not None, "the answer is finished"
        canvas, options, query = self.canvas, self.options, self.query
        # 3. Take a candidate token and its confidence at each open position.
        confidence, candidates = scores.confidence.to(self._confidence), scores.candidates
        self._confidence[query.rows] = confidence
        # 4. Commit the most confident ones; the others stay masked.
        count = adaptive_count(confidence, self._count, **{rule: getattr(options, rule) for rule in RULES})
        values, temperature = _tempered(confidence, query, options, self._turn)
        drawn = None if self.noise is None else self.noise.positions(query.rows)
        best = select_positions(values, count, temperature, self.generator, drawn)
        ids = candidates[best]
        if self.constraint is not None:
            assert scores.logits is not None, "a constraint chooses by logits"
            ids = self.constraint.commit(canvas.ids, query.rows, candidates, best, scores.logits)
        canvas.commit(query.rows[best], ids)
        # 5. Pad behind an end that has no open position before it.
        self._stop = find_stop(canvas.ids[: options.length], options.stops)
        committed = torch.cat((query.rows[best], self._pad_after_end()))
        self._forwards += not query.greedy
        step = Step(
            index=self._index,
            forwards=self._forwards,
            canvas=canvas.ids.clone(),
            committed=committed,
            confidence=self._confidence.float(),
        )
        self._index += 1
        self._next()  # which may reopen what is revised
        return step

    def _next(self) -> None:
        self.query, self._count = next(self._queries, (None, 0))
        if self.noise is not None:
            self.noise.begin()

    def _rounds(self) -> Iterator[tuple[slice, int, int]]:
        """Yield each block with its masks and steps, and again the part of it that is revised."""
        canvas, options = self.canvas, self.options
        for (start, end), steps in zip(options.blocks(), options.steps_per_block(), strict=True):
            masks = int((~canvas.fixed[start:end]).sum())
            if masks:
                yield slice(start, end), masks, steps
            written = ~self._given[start:end]
            if options.revise is not None and written.any():
                last = min(end, self._end(), find_stop(canvas.ids[: options.length], options.stops))
                mine = start + written[: max(0, last - start)].nonzero().flatten()
                weak = mine[self._confidence[mine].argsort(stable=True)[: len(mine) // 2]]
                weak = weak[self._confidence[weak] < options.revise]
                canvas.reopen(weak, self.mask_id)
                if len(weak):  # at the pace at which the block was written
                    yield slice(start, end), len(weak), -(-len(weak) * steps // max(1, masks))

    def _end(self) -> int:
        """Return where the first committed end token stands, if it ends the answer; else the canvas's length."""
        length = self.options.length
        if not self.options.early_stop:
            return length
        written = zip(self.canvas.ids[:length].tolist(), self.canvas.fixed[:length].tolist())
        return next((at for at, (token, fixed) in enumerate(written) if fixed and token in self._eos), length)

    def _pad_after_end(self) -> Tensor:
        """Commit an end token at every mask behind the end of the answer, if all before it is committed."""
        canvas, length = self.canvas, self.options.length
        opened = (~canvas.fixed[:length]).nonzero().flatten()
        end = self._end()
        if not len(opened) or opened[0] < min(end, self._stop):
            return opened[:0]
        token = int(canvas.ids[end]) if end < length else self._eos[0]
        canvas.commit(opened, torch.full_like(opened, token))
        return opened


def _tempered(confidence: Tensor, query: Query, options: DecodeOptions, turn: tuple[int, int]) -> tuple[Tensor, float]:
    """Return the values [n] by which positions are chosen, and the temperature of the choice at this step."""
    temperature = 0.0 if query.greedy else options.selection_temperature
    if not options.annealed:
        return confidence, temperature
    return confidence.clamp(min=_LEAST).log(), annealed(temperature, *turn, cumulative=options.compat == "official")


def find_stop(ids: Tensor, stops: Collection[Sequence[int]]) -> int:
    """Return where the first of the sequences `stops` begins in `ids` [L]; L if there is none."""
    first = len(ids)
    for stop in stops:
        if len(stop) <= len(ids):
            hits = (ids.unfold(0, len(stop), 1) == torch.tensor(stop, device=ids.device)).all(-1).nonzero()
            first = min([first, *hits[:1, 0].tolist()])
    return first


def _less_first(options: DecodeOptions) -> DecodeOptions:
    """Return the options of the steps that follow the prompt's token, which is one of those that `counts` promised."""
    if options.counts is None:
        return options
    at = next((i for i, count in enumerate(options.counts) if count), None)
    counts = tuple(count - (i == at) for i, count in enumerate(options.counts))
    return replace(options, counts=counts)


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
