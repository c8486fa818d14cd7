"""The driver: it advances the denoising loops of one or many answers with shared forward passes.

One round: every answer's context names the forward passes that its query needs; all of them go through the denoiser
together, then the hidden states of all queries through the head; each answer's scores go back to its loop. An answer
alone takes the same path, so it has the same ids, to the bit, as among others: rows that a shared product would round
differently are computed alone (`decode.batch_invariance`); attention, scores and random numbers are never shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import TypeVar

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.constrain.base import Constraint
from lavida.decode.batch_invariance import block_invariance, head_invariance
from lavida.decode.context import (
    Context,
    PrefixContext,
    Unconditional,
    check_left_to_right,
    context_for,
    prompt_predicts_first,
)
from lavida.decode.loop import Canvas, DenoisingLoop, Step
from lavida.decode.noise import Noise
from lavida.decode.options import DecodeOptions
from lavida.decode.pause import pause
from lavida.decode.prompt import Prompt
from lavida.decode.score import Head, Query, fits_one_chunk, score
from lavida.model.vlm import VLM
from lavida.nn.ragged import Forward

T = TypeVar("T")

_LOGITS = 1 << 25  # logits of one shared product of the head: 128 MB in float32


class Job:
    """One answer on its way: its loop, its context and the steps made so far.

    Args:
        net: The network.
        options: Of the answer.
        prompt: Stands before the canvas; a function is called when the answer begins.
        draft: ids [L] to fill in where they hold the mask token; behind `options.length` they must hold none.
        constraint: Holds the answer to a language.
        watch: Called with each step.
        noise: As in `DenoisingLoop`, from the number of the prompt's tokens, which is known when it has been read.

    Raises:
        RequestError: The options do not go together with the model, the draft or the constraint.
    """

    def __init__(
        self,
        net: VLM,
        options: DecodeOptions,
        prompt: Prompt | Callable[[], Prompt],
        *,
        draft: Tensor | None = None,
        constraint: Constraint | None = None,
        watch: Callable[[Step], None] | None = None,
        noise: Callable[[int], Noise] | None = None,
    ) -> None:
        denoiser, mask_id = net.config.denoiser, net.config.denoiser.mask_id
        canvas = Canvas.blank(options.length, mask_id) if draft is None else Canvas.draft(draft, mask_id)
        if denoiser.autoregressive:
            check_left_to_right(canvas.fixed, options)
        self.net, self.options, self.watch = net, options, watch
        self.loop = DenoisingLoop(
            canvas,
            options,
            mask_id=mask_id,
            eos_ids=denoiser.eos_ids,
            constraint=constraint,
            first_from_prompt=prompt_predicts_first(net, canvas.fixed, options),
        )
        self.last: Step | None = None
        self.error: Exception | None = None
        self.cancelled = False  # set by who no longer wants the answer
        self.enough = False  # set by who needs no further step of it
        self.prompt, self._noise = prompt, noise
        self._context: Context | None = None

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do."""
        return self.loop.query is None or self.error is not None or self.cancelled or self.enough

    @property
    def context(self) -> Context:
        """The context; the first use reads the prompt."""
        if self._context is None:
            prompt = self.prompt = self.prompt() if callable(self.prompt) else self.prompt
            self._context = context_for(
                self.net, prompt.segments, self.options, prompt.prefix, unconditional=prompt.unconditional
            )
            self.loop.noise = None if self._noise is None else self._noise(prompt.length)
        return self._context

    @property
    def _query(self) -> Query:
        assert self.loop.query is not None, "the answer is finished"
        return self.loop.query

    def forwards(self) -> list[Forward]:
        """Return the forward passes that the answer waits for."""
        return self.context.forwards(self._query)

    def hidden(self, outputs: Sequence[Tensor]) -> Tensor | None:
        """Return the hidden states [n, D] that answer the query; None if the outputs were the prompt's."""
        return self.context.hidden(self._query, outputs)

    def step(self, hidden: Tensor, head: Head | None = None) -> None:
        """Score the query by its hidden states, or by what `head` makes of them, and make the step."""
        loop = self.loop
        scores = score(
            self._query,
            hidden,
            head or self.context.head,
            self.net.config.denoiser.vocab_size,
            self.options,
            mask_id=loop.mask_id,
            generator=loop.generator,
            constraint=loop.constraint,
            noise=loop.noise,
        )
        self.last = loop.step(scores)
        if self.watch is not None:
            self.watch(self.last)


class Driver:
    """Advance jobs in rounds.

    With `exact` False, forward passes are shared whether or not the rows come out the same to the bit. `rows` limits
    the rows of one shared forward pass.
    """

    def __init__(self, net: VLM, *, rows: int = 512, exact: bool = True) -> None:
        self.jobs: list[Job] = []
        self._net, self._rows, self._head_rows = net, rows, max(1, _LOGITS // net.config.denoiser.vocab_size)
        self._exact = exact

    @cached_property
    def _block(self) -> Callable[[int], bool]:
        return block_invariance(self._net.denoiser) if self._exact else _always

    @cached_property
    def _head(self) -> Callable[[int], bool]:
        return head_invariance(self._net.denoiser) if self._exact else _always

    def run(self, jobs: Sequence[Job]) -> None:
        """Finish several jobs; what one of them failed with is raised."""
        self.jobs += jobs
        while self.jobs:
            self.round()
            pause()
        for job in jobs:
            if job.error is not None:
                raise job.error

    @torch.no_grad()
    def round(self) -> list[Job]:
        """Advance every job by one query and return those that are done. A job that fails stops no other."""
        # 1. Collect the forward passes that the queries need.
        waiting = [(job, f) for job in self.jobs for f in _guard(job, job.forwards) or ()]
        # 2. Compute them together, as far as rows stay the same to the bit.
        outputs: dict[int, list[Tensor]] = {id(job): [] for job in self.jobs}
        for group in _grouped([f.x.shape[1] for _, f in waiting], lambda n: self._block(n), self._rows):
            members = [waiting[i] for i in group]
            found = self._shared([job for job, _ in members], partial(self._forward, [f for _, f in members]))
            for (job, _), output in zip(members, found):
                outputs[id(job)].append(output)
        # 3. Read the hidden states of each query.
        read = [(job, _guard(job, job.hidden, outputs[id(job)])) for job in self.jobs if not job.done]
        ready = [(job, hidden) for job, hidden in read if hidden is not None]
        # 4. Multiply by the head together; score and step one by one.
        for group in self._by_head(ready):
            self._score([ready[i] for i in group])
        # 5. Let go of what is done.
        done = [job for job in self.jobs if job.done]
        self.jobs = [job for job in self.jobs if not job.done]
        return done

    def _forward(self, forwards: list[Forward]) -> list[Tensor]:
        if len(forwards) > 1:
            rows = sum(f.x.shape[1] for f in forwards)
            filler = forwards[0].x.new_zeros(1, _padded_rows(rows) - rows, forwards[0].x.shape[2])
            forwards = [*forwards, Forward(x=filler)] if filler.shape[1] else forwards
        return self._net.denoiser.forward_ragged(forwards)

    def _by_head(self, ready: Sequence[tuple[Job, Tensor]]) -> list[list[int]]:
        """Group jobs whose logits are computed together; the others come alone."""
        vocab_size = self._net.config.denoiser.vocab_size
        fits = [
            not (job.options.guidance or job.options.span) and fits_one_chunk(len(hidden), vocab_size, job.options)
            for job, hidden in ready
        ]
        shared = [i for i, fit in enumerate(fits) if fit]
        groups = _grouped([len(ready[i][1]) for i in shared], lambda n: self._head(n), self._head_rows)
        return [[shared[i] for i in group] for group in groups] + [[i] for i, fit in enumerate(fits) if not fit]

    def _score(self, ready: Sequence[tuple[Job, Tensor]]) -> None:
        if len(ready) == 1:  # alone, a part of the vocabulary at a time is read: nothing of canvas x vocabulary
            job, hidden = ready[0]
            _guard(job, job.step, hidden)
            return
        rows = torch.cat([hidden for _, hidden in ready])
        filled = torch.cat((rows, rows.new_zeros(_padded_rows(len(rows)) - len(rows), rows.shape[1])))
        found = self._shared([job for job, _ in ready], lambda: [self._net.denoiser.head(filled)[: len(rows)]])
        for logits in found:
            parts = logits.split([len(hidden) for _, hidden in ready])
            for (job, _), part in zip(ready, parts, strict=True):
                _guard(job, job.step, part, _part)

    def _shared(self, jobs: list[Job], compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        try:
            return compute()
        except Exception as error:  # for want of memory, say: jobs elsewhere go on
            for job in jobs:
                job.error = error
            return []


def answer_steps(
    net: VLM,
    segments: Sequence[Tensor],
    options: DecodeOptions,
    *,
    draft: Tensor | None = None,
    cache: PrefixCache | None = None,
    constraint: Constraint | None = None,
    unconditional: Unconditional | None = None,
    noise: Noise | None = None,
) -> Iterator[Step]:
    """Yield the steps of one answer to prompt pieces [1, P_i, D] of `VLM.segments`, or to what `cache` holds.

    Arguments and errors otherwise as in `Job`, and `unconditional` as in `context_for`.
    """
    prefix = None if cache is None else PrefixContext(net, cache)
    prompt = Prompt(net=net, segments=list(segments), prefix=prefix, unconditional=unconditional)
    drawn = None if noise is None else lambda _: noise
    yield from job_steps(Job(net, options, prompt, draft=draft, constraint=constraint, noise=drawn))


def job_steps(job: Job) -> Iterator[Step]:
    """Yield the steps of one job as they are made. Raises what it fails with."""
    driver = Driver(job.net)
    driver.jobs.append(job)
    seen: Step | None = None
    while not job.done:
        driver.round()
        if job.last is not None and job.last is not seen:
            seen = job.last
            yield seen
    if job.error is not None:
        raise job.error


def _guard(job: Job, function: Callable[..., T], *args: object) -> T | None:
    """Call a function of a job; if it raises, the job fails."""
    if job.done:
        return None
    try:
        return function(*args)
    except Exception as error:
        job.error = error
        return None


def _part(logits: Tensor, part: slice | None) -> Tensor:
    return logits if part is None else logits[:, part]


def _grouped(counts: Sequence[int], invariant: Callable[[int], bool], most: int) -> list[list[int]]:
    """Divide numbers of rows into groups of at most `most` rows, as indices in their order; odd ones come alone."""
    if len(counts) < 2:
        return [[i] for i in range(len(counts))]
    groups: list[list[int]] = []
    held = most
    for i in sorted(range(len(counts)), key=lambda i: not invariant(counts[i])):  # those that stay alone come last
        if not invariant(counts[i]) or held + counts[i] > most or not invariant(_padded_rows(held + counts[i])):
            groups.append([])
            held = 0
        groups[-1].append(i)
        held += counts[i]
    return groups


def _padded_rows(count: int) -> int:
    """Return the number of rows that a shared pass is padded to: few numbers occur, and each is measured once."""
    unit = 8 if count <= 64 else 32 if count <= 256 else 64
    return -(-count // unit) * unit


def _always(count: int) -> bool:
    return True
