"""Choose steps, rule and cache by a quality or a deadline, from a calibration of the model.

The choice is a function of calibration and request. No clock is read while an answer is written, so the same request
on the same calibration gives the same text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lavida.decode.calibration import Calibration, Quality, Speed, Trial
from lavida.decode.options import BUDGET
from lavida.errors import RequestError

QUALITIES = {"high": 1.0, "balanced": 0.99, "fast": 0.95}  # share of the best quality tried that must be kept
_CHOSEN = (  # options that are chosen, or that would contradict the choice
    "steps", "block", "counts", "threshold", "factor", "entropy_bound", "revise", "refresh", "remasking", "cache",
    "compat",
)  # fmt: skip
_UNITS = {"ms": 1e-3, "s": 1.0, "": 1.0}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Hold what an answer must keep: a quality or a deadline."""

    quality: str | None = None
    deadline: float | None = None  # seconds

    def __post_init__(self) -> None:
        if (self.quality is None) == (self.deadline is None):
            raise RequestError("deadline and quality exclude each other; give one of them")
        if self.quality is not None and self.quality not in QUALITIES:
            raise RequestError(f"unknown quality {self.quality!r}; choose one of {', '.join(QUALITIES)}")
        if self.deadline is not None and not 0 < self.deadline < math.inf:
            raise RequestError(f"a deadline must be a time above 0, got {self.deadline}")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Hold the chosen options, and what the calibration says of them."""

    options: Mapping[str, Any]  # fields of `DecodeOptions`
    quality: float
    measure: str
    seconds: float | None  # on average; None if this machine was not timed

    def to_json(self) -> dict[str, Any]:
        """Return the setting for an answer's report."""
        expected = {} if self.seconds is None else {"expected_seconds": round(self.seconds, 4)}
        return {**self.options, **expected, "quality": round(self.quality, 4), "measure": self.measure}


def split_target(options: Mapping[str, Any]) -> tuple[Target | None, dict[str, Any]]:
    """Return the target among options by name, if any, and the other options.

    Raises:
        RequestError: An option is given that the target chooses.
    """
    rest = {name: value for name, value in options.items() if name not in BUDGET}
    quality, deadline = options.get("quality"), options.get("deadline")
    if quality is None and deadline is None:
        return None, rest
    given = [name for name in _CHOSEN if rest.get(name) is not None]
    if given:
        word = "quality" if deadline is None else "deadline"
        raise RequestError(f"{word} chooses steps, rule and cache; leave out {given[0]}")
    return Target(quality=quality, deadline=None if deadline is None else seconds(deadline)), rest


def seconds(text: str | float) -> float:
    """Return the seconds of "400ms", "0.4s", "0.4" or 0.4. Raises RequestError."""
    found = re.fullmatch(r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*(ms|s|)\s*", str(text))
    if found is None:
        raise RequestError(f"a deadline is a time such as 400ms or 1.5s, got {text!r}")
    return float(found[1]) * _UNITS[found[2]]


def choose_setting(target: Target, table: Calibration, speed: Speed | None, *, length: int, pictures: int) -> Setting:
    """Return the setting for an answer of `length` tokens about so many pictures.

    A deadline takes the best setting all of whose steps fit in, a quality the fastest that is good enough.

    Raises:
        RequestError: The calibration lacks what is needed, or no setting fits.
    """
    if table.quality is None:
        raise RequestError("how good this model's settings are was not measured; run `lavida calibrate`")
    if target.quality is not None:
        chosen = _good_enough(QUALITIES[target.quality], table.quality, speed, length)
    elif speed is None or target.deadline is None:
        raise RequestError("no times were measured on this machine with this dtype and threads; run `lavida calibrate`")
    else:
        chosen = _in_time(target.deadline, table.quality, speed, length, pictures)
    options = {**chosen.options, "length": length, "steps": _steps(chosen, table.quality, length)}
    passes = chosen.passes * length / table.quality.length
    expected = None if speed is None else speed.predict(options["cache"], passes, length, pictures)
    return Setting(options=options, quality=chosen.quality, measure=table.quality.measure, seconds=expected)


def _steps(tried: Trial, quality: Quality, length: int) -> int:
    """Return the steps on a canvas of another length, with as many tokens a step."""
    return min(length, math.ceil(tried.options["steps"] * length / quality.length))


def _in_time(deadline: float, quality: Quality, speed: Speed, length: int, pictures: int) -> Trial:
    """Return the best setting that is done in time if it saves no step."""
    latest = [speed.predict(t.options["cache"], _steps(t, quality, length), length, pictures) for t in quality.tried]
    fitting = [tried for tried, seconds in zip(quality.tried, latest, strict=True) if seconds <= deadline]
    if not fitting:
        allowed = math.ceil(min(latest) * 1000)
        raise RequestError(f"no answer of {length} tokens is ready in {deadline * 1000:g} ms here; allow {allowed} ms")
    return max(fitting, key=lambda tried: (tried.quality, -tried.passes))


def _good_enough(share: float, quality: Quality, speed: Speed | None, length: int) -> Trial:
    """Return the fastest setting, by its forward passes, that keeps a share of the best quality."""

    def cost(tried: Trial) -> float:
        passes = tried.passes * length / quality.length
        return tried.passes if speed is None else speed.predict(tried.options["cache"], passes, length, 0)

    best = max(tried.quality for tried in quality.tried)
    return min((t for t in quality.tried if t.quality >= share * best), key=lambda t: (cost(t), -t.quality))
