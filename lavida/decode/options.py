"""Options of decoding, each declared once: its default, type, bounds and help.

The command line, transformers' generation configuration and the checks below read `dataclasses.fields(DecodeOptions)`.
PyTorch is not imported, so that `--help` is quick. `AskOptions` writes the names out once more for editors and type
checkers; a test compares the two.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from lavida.constrain.base import CONSTRAINTS
from lavida.diffusion import DEFAULT_SHIFT, SCHEDULES
from lavida.errors import RequestError, check_seed

if TYPE_CHECKING:
    import torch

    from lavida.constrain.language import Language

REMASKING = ("confidence", "margin", "entropy", "random")
CACHES = ("prefix", "none", "block", "dual")
BLOCK_CACHES = ("block", "dual")
RULES = ("threshold", "factor", "entropy_bound")
COMPAT = (None, "official")
MAX_LENGTH = 4096
BUDGET = ("quality", "deadline")  # options that choose others from a calibration (`lavida.decode.budget`)

# Groups of options, as `lavida ask --help` lists them.
CANVAS, TOKENS, COMPUTING = "Canvas and steps", "Choice of tokens", "Computation"
# What other programs call an option of ours, to suggest the name.
ELSEWHERE = {
    "max_new_tokens": "length", "max_length": "length", "max_tokens": "length", "gen_length": "length",
    "num_steps": "steps", "max_denoising_steps": "steps", "diffusion_steps": "steps",
    "block_length": "block", "block_size": "block", "do_sample": "temperature", "cfg_scale": "guidance",
    "confidence_threshold": "threshold", "suppress_tokens": "banned", "cache_implementation": "cache",
    "use_cache": "cache", "random_seed": "seed", "json_schema": "schema", "choice": "choices",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Option:
    """Describe one field of `DecodeOptions`: what it means and which values it takes."""

    help: str  # a sentence for users
    kind: type
    group: str | None = None  # heading on the command line; None leaves the option out there
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None  # a value that is too small
    choices: tuple[str | None, ...] = ()
    optional: bool = True  # whether None is a value

    def check(self, name: str, value: Any) -> Any:
        """Return the value, numbers as plain Python ones. Raises RequestError if it is not allowed."""
        if value is None and self.optional:
            return None
        if self.choices:
            _require(value in self.choices, f"unknown {name} {value!r}; choose one of {_listed(self.choices)}")
            return value
        number, called = {int: (Integral, "a whole number"), float: (Real, "a number")}.get(self.kind, (None, ""))
        if number is None:
            _require(isinstance(value, self.kind), f"{name} must be true or false, got {value!r}")
            return value
        _require(_is_number(value, number), f"{name} must be {called}, got {value!r}")
        value = self.kind(value)
        in_bounds = (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
        )
        _require(in_bounds, f"{name} must be {self.bounds()}, got {value}")
        return value

    def bounds(self) -> str:
        """Return the range of the value in words, "" if there is none."""
        if self.above is not None:
            return f"above {self.above:g}" + ("" if self.maximum is None else f" and at most {self.maximum:g}")
        if self.minimum is not None:
            return f"at least {self.minimum:g}" if self.maximum is None else f"{self.minimum:g} to {self.maximum:g}"
        return ""


def _option(default: Any, kind: type, group: str | None, help: str, **rest: Any) -> Any:
    declared = Option(help=help, kind=kind, group=group, optional=default is None, **rest)
    return field(default=default, metadata={"option": declared})


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise RequestError(message)


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """Hold the options of one answer, checked when they are made.

    Raises:
        RequestError: A value is out of range, or options contradict each other; the message names them.
    """

    length: int = _option(
        32, int, CANVAS,
        "Tokens of the canvas, the longest answer possible. Default: the model's own, 16 for lavida-mini.", minimum=1,
        maximum=MAX_LENGTH,
    )  # fmt: skip
    steps: int | None = _option(
        None, int, CANVAS, "Most forward passes over the canvas; fewer is faster. Default: one per token.", minimum=1
    )
    block: int | None = _option(
        None, int, CANVAS, "Finish the canvas in blocks of so many tokens, left to right.", minimum=1
    )
    schedule: str = _option("shift", str, CANVAS, "Tokens per step over time.", choices=SCHEDULES)
    shift: float = _option(
        DEFAULT_SHIFT, float, CANVAS, "Of schedule shift: below 1 commits many tokens early.", above=0, maximum=100
    )
    counts: tuple[int, ...] | None = _option(None, tuple, None, "Tokens of each step, instead of a schedule.")

    # Rules that commit more tokens than the schedule: Fast-dLLM (arXiv 2505.22618), entropy bound (arXiv 2505.24857)
    threshold: float | None = _option(
        None, float, TOKENS, "Commit also all tokens of at least this confidence. Default: 0.9 for lavida-mini, unless "
        "a pace is given.", above=0, maximum=1,
    )  # fmt: skip
    factor: float | None = _option(
        None, float, TOKENS, "Commit also the n surest while (n + 1) (1 - confidence) is below this.", above=0,
        maximum=100,
    )  # fmt: skip
    entropy_bound: float | None = _option(
        None, float, TOKENS, "Commit also the surest whose entropies sum to this; with remasking entropy.", above=0,
        maximum=1000,
    )  # fmt: skip
    remasking: str = _option(
        "confidence", str, TOKENS, "What decides which tokens are committed first.", choices=REMASKING
    )
    temperature: float = _option(
        0.0, float, TOKENS, "Of the Gumbel noise on the logits; 0 takes the likeliest token.", minimum=0, maximum=10
    )
    top_p: float | None = _option(
        None, float, TOKENS, "Sample among the likeliest tokens of this total probability.", above=0, maximum=1
    )
    top_k: int | None = _option(None, int, TOKENS, "Sample among so many of the likeliest tokens.", minimum=1)
    sharp_confidence: bool = _option(
        False, bool, TOKENS, "Measure confidence after temperature, top_p and top_k, as Dream does."
    )
    selection_temperature: float = _option(
        0.0, float, TOKENS, "Draw positions by softmax(confidence / this); 0 takes the surest.", minimum=0, maximum=10
    )
    annealed: bool = _option(
        False, bool, TOKENS,
        "Let selection_temperature fall to 0 over the steps, as noise on the logarithm of the confidence (MaskGIT).",
    )  # fmt: skip
    banned: tuple[int, ...] = _option((), tuple, None, "Token ids that are never written.")
    span: tuple[int, ...] | None = _option(
        None, tuple, None, "First id that may be written, and the one behind the last."
    )
    guidance: float = _option(
        0.0, float, TOKENS, "Classifier-free guidance, away from an answer to a masked prompt; two passes a step.",
        minimum=0, maximum=10,
    )  # fmt: skip
    revise: float | None = _option(
        None, float, TOKENS, "Mask and rewrite what was less sure than this, at most half of a block.", above=0,
        maximum=1,
    )  # fmt: skip
    language: Language | None = _option(None, object, None, "What the answer is held to.")

    early_stop: bool = _option(True, bool, CANVAS, "Finish when an end token is committed and all before it is.")
    stops: tuple[tuple[int, ...], ...] = _option((), tuple, None, "Sequences of ids behind which nothing is written.")
    cache: str = _option(
        "prefix", str, COMPUTING,
        "prefix computes the prompt once, none at every step; block and dual approximate none.", choices=CACHES,
    )  # fmt: skip
    refresh: int | None = _option(
        None, int, COMPUTING,
        "With cache block and dual: a full pass every so many; default at the start of a block.", minimum=1,
    )  # fmt: skip
    seed: int = _option(0, int, COMPUTING, "Of the noise; the same seed gives the same text.")
    compat: str | None = _option(
        None, str, COMPUTING, "official decodes as the published code does, oddities included.", choices=COMPAT
    )

    def __post_init__(self) -> None:
        checked = {
            name: declared.check(name, getattr(self, name))
            for name, declared in OPTIONS.items()
            if declared.kind not in (tuple, object)
        }
        check_seed(self.seed)
        is_list = isinstance(self.stops, Sequence) and not isinstance(self.stops, (str, bytes))
        _require(is_list, "stops must be a list")
        checked["banned"] = _whole("banned must hold token ids, 0 or above", self.banned)
        checked["stops"] = tuple(_whole("a stop must hold token ids, 0 or above", stop) for stop in self.stops)
        _require(all(checked["stops"]), "a stop must hold at least one token id")
        if self.counts is not None:
            checked["counts"] = _whole("counts must hold numbers of tokens, 0 or above", self.counts)
        if self.span is not None:
            checked["span"] = _whole("span must hold two token ids", self.span)
            _require(
                len(checked["span"]) == 2 and checked["span"][0] < checked["span"][1],
                "span must hold two ids, the first below the second",
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_canvas()
        self._check_combinations()

    def _check_canvas(self) -> None:
        if self.block is not None:
            _require(self.block <= self.length, f"block must be 1 to length ({self.length}), got {self.block}")
        blocks = len(self.blocks())
        if self.steps is not None:
            least = "1" if blocks == 1 else f"{blocks} (one per block)"
            message = f"steps must be {least} to length ({self.length}), got {self.steps}"
            _require(blocks <= self.steps <= self.length, message)
        if self.counts is not None:
            alone = self.steps is None and blocks == 1
            _require(alone, "counts says what each step commits; leave out steps and block")

    def _check_combinations(self) -> None:
        rules = [name for name in RULES if getattr(self, name) is not None]
        _require(len(rules) < 2, f"{' and '.join(rules)} are two rules for the same; choose one")
        for name in ("threshold", "factor", "revise"):
            mend = f"remasking {self.remasking!r} gives none, choose confidence or margin"
            gives = getattr(self, name) is None or self.remasking in ("confidence", "margin")
            _require(gives, f"a {name} compares probabilities; {mend}")
        entropy = self.entropy_bound is None or self.remasking == "entropy"
        _require(entropy, "entropy_bound goes with remasking entropy only")
        drawn = self.selection_temperature != 0
        message = "selection_temperature draws positions by their confidence; it goes with neither random nor "
        _require(not drawn or not (rules or self.remasking == "random"), message + (rules[0] if rules else "a rule"))
        log = not self.annealed or (self.remasking in ("confidence", "margin") and not rules and self.revise is None)
        _require(
            log, "annealed takes the logarithm of probabilities; it goes with remasking confidence or margin, no rule"
        )
        message = f"span says which ids may be written; leave out the {' or '.join(CONSTRAINTS)}"
        _require(self.span is None or self.language is None, message)
        narrowed = self.top_p is not None or self.top_k is not None
        message = "top_p and top_k change nothing at temperature 0; set a temperature or sharp_confidence"
        _require(not narrowed or self.temperature > 0 or self.sharp_confidence, message)
        exact = self.refresh is not None and self.cache not in BLOCK_CACHES
        _require(not exact, f"cache {self.cache!r} is exact; leave out refresh")
        _require(self.revise is None or self.counts is None, "counts says what each step commits; leave out revise")
        message = f"a stop would cut off what the {' or '.join(CONSTRAINTS)} asks for; leave out stops"
        _require(self.language is None or not self.stops, message)

    def blocks(self) -> list[tuple[int, int]]:
        """Return (start, end) of each block; the last may be shorter."""
        size = self.block or self.length
        return [(start, min(start + size, self.length)) for start in range(0, self.length, size)]

    def steps_per_block(self) -> list[int]:
        """Return the steps of each block, shared by its tokens, so that every step finds one to commit."""
        total, sizes = self.steps or self.length, [end - start for start, end in self.blocks()]
        shares = [max(1, total * size // self.length) for size in sizes]
        left = total - sum(shares)
        for i, size in enumerate(sizes):  # the remainder goes to the first blocks that have tokens for it
            if left > 0 and shares[i] < size:
                shares[i] += 1
                left -= 1
        return shares

    @property
    def least_passes(self) -> int:
        """Forward passes over a block that are made even if it is finished.

        Fast-dLLM fills its cache in the first pass over a block and always makes another.
        """
        return 2 if self.compat == "official" and self.cache in BLOCK_CACHES else 1

    def is_fresh(self, turn: int) -> bool:
        """Return whether an approximate cache is recomputed at this pass over a block, counted from 0."""
        return turn % self.refresh == 0 if self.refresh else turn == 0

    def plan(self, masks: int, steps: int, generator: torch.Generator) -> list[int]:
        """Return the tokens to commit at each pass over a block of so many masks; zeros make up `least_passes`."""
        if self.counts is None:
            from lavida.diffusion.schedule import unmask_counts  # which imports PyTorch; options alone do without

            counts = unmask_counts(masks, steps, self.schedule, self.shift, generator)
        else:
            counts, total = list(self.counts), sum(self.counts)
            _require(total == masks, f"counts commits {total} tokens and {masks} are masked; make them equal")
        return counts + [0] * (self.least_passes - len(counts))


def _whole(message: str, value: Any) -> tuple[int, ...]:
    _require(isinstance(value, Iterable) and not isinstance(value, (str, bytes)), message)
    values = tuple(value)
    _require(all(_is_number(number, Integral) and number >= 0 for number in values), message)
    return tuple(map(int, values))


OPTIONS: Mapping[str, Option] = {declared.name: declared.metadata["option"] for declared in fields(DecodeOptions)}
# Names that a caller may give: "language" is made of one of CONSTRAINTS.
NAMES = (*(name for name in OPTIONS if name != "language"), *CONSTRAINTS)


def check_names(options: Iterable[str], known: Sequence[str] = NAMES) -> None:
    """Raise RequestError, with a suggestion, for a name that is no option."""
    for name in sorted(set(options) - set(known)):
        close = [ELSEWHERE[name]] if name in ELSEWHERE else difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {close[0]}?" if close else f"choose from {_listed(known)}"
        raise RequestError(f"unknown option {name!r}; {mend}")


class ExtractOptions(TypedDict, total=False):
    """Name the options of `extract` for editors and type checkers; None stands for the model's default."""

    length: int | None
    steps: int | None
    block: int | None
    schedule: str | None
    shift: float | None
    counts: Sequence[int] | None
    threshold: float | None
    factor: float | None
    entropy_bound: float | None
    remasking: Literal["confidence", "margin", "entropy", "random"] | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    sharp_confidence: bool | None
    selection_temperature: float | None
    annealed: bool | None
    banned: Sequence[int] | None
    span: Sequence[int] | None
    guidance: float | None
    revise: float | None
    early_stop: bool | None
    stops: Sequence[Sequence[int]] | None
    cache: Literal["prefix", "none", "block", "dual"] | None
    refresh: int | None
    seed: int | None
    compat: Literal["official"] | None
    quality: Literal["high", "balanced", "fast"] | None
    deadline: float | str | None


class AskOptions(ExtractOptions, total=False):
    """Name the options of `ask`, `describe`, `chat` and `stream`: also one that holds the answer to a form."""

    regex: str | None
    schema: Mapping[str, Any] | bool | str | Path | None
    choices: Sequence[str] | None
    template: Any
