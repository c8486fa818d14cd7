"""What a caller may choose about decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lavida.constrain.base import CONSTRAINTS
from lavida.diffusion.schedule import DEFAULT_SHIFT, SCHEDULES, unmask_counts
from lavida.errors import RequestError, check_seed

if TYPE_CHECKING:
    from lavida.constrain.language import Language

REMASKING = ("confidence", "margin", "entropy", "random")
CACHES = ("prefix", "none", "block", "dual")
BLOCK_CACHES = ("block", "dual")
RULES = ("threshold", "factor", "entropy_bound")
COMPAT = (None, "official")
MAX_LENGTH = 4096


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise RequestError(message)


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """Validated on construction; RequestError names the field and its range."""

    # The canvas and its passes
    length: int = 32  # canvas, tokens
    steps: int | None = None  # forward passes over the whole canvas; None = one per token
    block: int | None = None  # canvas is finished block by block, left to right; None = one block
    # How many tokens a step commits
    schedule: str = "shift"
    shift: float = DEFAULT_SHIFT  # of the "shift" schedule; below 1 commits many tokens early
    counts: tuple[int, ...] | None = None  # of each step, instead of a schedule
    # Besides the schedule's tokens, by one of three rules:
    threshold: float | None = None  # all that are at least so sure (Fast-dLLM, arXiv 2505.22618)
    factor: float | None = None  # the n surest while (n + 1) (1 - certainty of the nth) is below this (the same)
    entropy_bound: float | None = None  # the surest whose entropies, but for the largest, sum to this (2505.24857)
    # Which tokens, and where
    remasking: str = "confidence"  # what makes a token certain enough to commit
    temperature: float = 0.0  # of the Gumbel noise on the logits; 0 = argmax
    top_p: float | None = None  # sample among the likeliest tokens of this total probability
    top_k: int | None = None  # sample among so many
    sharp_confidence: bool = False  # certainty after temperature, top_p and top_k (Dream), not of the plain logits
    selection_temperature: float = 0.0  # draw positions by softmax(certainty / this); 0 = the surest
    banned: tuple[int, ...] = ()  # ids that are never written
    guidance: float = 0.0  # classifier-free, away from an answer to a prompt of masks; two passes a step
    revise: float | None = None  # once a block is full, the half at most of it that was less sure is written anew
    language: Language | None = None  # what an answer is held to: by name as regex, schema, choices or template
    # When to finish
    early_stop: bool = True  # finish when an end token is committed and all before it is
    stops: tuple[tuple[int, ...], ...] = ()  # sequences of ids behind which nothing is written
    # How it is computed
    cache: str = "prefix"  # "none" recomputes the prompt at each step and lets it see the canvas;
    # "block" and "dual" approximate "none": Fast-dLLM's prefix and dual cache
    refresh: int | None = None  # with those two: a full pass every so many; None = at the start of a block only
    seed: int = 0
    compat: str | None = None  # "official": as the official code does, idle passes included (docs/fidelity.md)

    def __post_init__(self) -> None:
        for name in ("length", "steps", "block", "seed", "top_k", "refresh"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole or (value is None and name not in ("length", "seed")), f"{name} must be a whole number")
        check_seed(self.seed)
        self._check_canvas()
        known = {"schedule": SCHEDULES, "remasking": REMASKING, "cache": CACHES, "compat": COMPAT}
        for name, names in known.items():
            value = getattr(self, name)
            _require(value in names, f"unknown {name} {value!r}; choose one of {', '.join(map(str, names))}")
        _require(0 < self.shift <= 100, f"shift must be above 0 and at most 100, got {self.shift}")
        for name in ("temperature", "selection_temperature", "guidance"):
            _require(0 <= getattr(self, name) <= 10, f"{name} must be 0 to 10, got {getattr(self, name)}")
        _require(self.top_k is None or self.top_k >= 1, f"top_k must be at least 1, got {self.top_k}")
        _require(self.refresh is None or self.refresh >= 1, f"refresh must be at least 1, got {self.refresh}")
        for name, most in {"top_p": 1, "threshold": 1, "revise": 1, "factor": 100, "entropy_bound": 1000}.items():
            value = getattr(self, name)
            _require(value is None or 0 < value <= most, f"{name} must be above 0 and at most {most}, got {value}")
        object.__setattr__(self, "banned", tuple(self.banned))
        object.__setattr__(self, "stops", tuple(tuple(stop) for stop in self.stops))
        _require(all(i >= 0 for i in self.banned), "banned must hold token ids, 0 or above")
        _require(all(self.stops), "a stop must hold at least one token id")
        self._check_combinations()

    def _check_canvas(self) -> None:
        _require(1 <= self.length <= MAX_LENGTH, f"length must be 1 to {MAX_LENGTH}, got {self.length}")
        if self.block is not None:
            _require(1 <= self.block <= self.length, f"block must be 1 to length ({self.length}), got {self.block}")
        blocks = len(self.blocks())
        if self.steps is not None:
            least = "1" if blocks == 1 else f"{blocks} (one per block)"
            message = f"steps must be {least} to length ({self.length}), got {self.steps}"
            _require(blocks <= self.steps <= self.length, message)
        if self.counts is not None:
            object.__setattr__(self, "counts", tuple(self.counts))
            alone = self.steps is None and blocks == 1
            _require(alone, "counts says what each step commits; leave out steps and block")
            _require(all(n >= 0 for n in self.counts), "counts must hold numbers of tokens, 0 or above")

    def _check_combinations(self) -> None:
        narrowed = self.top_p is not None or self.top_k is not None
        _require(
            not narrowed or self.temperature > 0 or self.sharp_confidence,
            "top_p and top_k change nothing at temperature 0; set a temperature or sharp_confidence",
        )
        rules = [name for name in RULES if getattr(self, name) is not None]
        _require(len(rules) < 2, f"{' and '.join(rules)} are two rules for the same; choose one")
        for name in ("threshold", "factor", "revise"):
            _require(
                getattr(self, name) is None or self.remasking in ("confidence", "margin"),
                f"a {name} compares probabilities; remasking {self.remasking!r} gives none, "
                "choose confidence or margin",
            )
        _require(
            self.entropy_bound is None or self.remasking == "entropy", "entropy_bound goes with remasking entropy only"
        )
        _require(
            self.selection_temperature == 0 or (self.remasking != "random" and not rules),
            "selection_temperature draws positions by their certainty; it goes with neither random nor "
            + (rules[0] if rules else "a rule"),
        )
        _require(
            self.refresh is None or self.cache in BLOCK_CACHES, f"cache {self.cache!r} is exact; leave out refresh"
        )
        _require(self.revise is None or self.counts is None, "counts says what each step commits; leave out revise")

        _require(
            self.language is None or not self.stops,
            f"a stop would cut off what the {' or '.join(CONSTRAINTS)} asks for; leave out stops",
        )

    def blocks(self) -> list[tuple[int, int]]:
        """(start, end) of each block; the last may be shorter."""
        size = self.block or self.length
        return [(start, min(start + size, self.length)) for start in range(0, self.length, size)]

    def steps_per_block(self) -> list[int]:
        """Steps of each block: an even share, the remainder first."""
        total, n = self.steps or self.length, len(self.blocks())
        return [total // n + (i < total % n) for i in range(n)]

    @property
    def least_passes(self) -> int:
        """Passes over a block that are made though it is finished: Fast-dLLM fills its cache and always looks again."""
        return 2 if self.compat == "official" and self.cache in BLOCK_CACHES else 1

    def is_fresh(self, turn: int) -> bool:
        """Whether an approximate cache is brought up to date at this pass over a block, from 0."""
        return turn % self.refresh == 0 if self.refresh else turn == 0

    def plan(self, masks: int, steps: int, generator: torch.Generator) -> list[int]:
        """Tokens to commit at each pass over a block of so many masks; zeros at the end make up `least_passes`."""
        if self.counts is None:
            counts = unmask_counts(masks, steps, self.schedule, self.shift, generator)
        else:
            counts = list(self.counts)
            _require(
                sum(counts) == masks, f"counts commits {sum(counts)} tokens and {masks} are masked; make them equal"
            )
        return counts + [0] * (self.least_passes - len(counts))
