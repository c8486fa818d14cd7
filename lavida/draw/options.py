"""Options of drawing, each declared once, as those of answers are (`lavida.decode.options`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

from lavida.decode.options import CACHES, COMPAT, DecodeOptions, Option, check_names
from lavida.errors import RequestError, check_seed

CURVES = ("cosine", "linear", "sigmoid")
_POWER = re.compile(r"pow\d+(\.\d+)?")
MOST = 64  # pictures of one call
RESOLUTION = 512  # places of the text that MMaDA's code takes for granted in the prompt that guidance leads away from


def _option(default: Any, kind: type, help: str, **rest: Any) -> Any:
    declared = Option(help=help, kind=kind, optional=default is None, **rest)
    return field(default=default, metadata={"option": declared})


@dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """Hold the options of a picture to draw, checked when they are made.

    Raises:
        RequestError: A value is out of range, or options contradict each other; the message names them.
    """

    size: str | int | tuple[int, int] = _option(512, object, "Pixels of a side, or WIDTHxHEIGHT.")
    steps: int = _option(15, int, "Forward passes over the picture; fewer is faster.", minimum=1, maximum=4096)
    guidance: float = _option(
        3.5, float, "Classifier-free guidance, away from a picture of nothing; 0 makes one pass a step.", minimum=0,
        maximum=10,
    )  # fmt: skip
    temperature: float = _option(
        1.0, float, "Of the noise on the confidence by which codes are kept; it falls to 0.", minimum=0, maximum=10
    )
    schedule: str = _option("cosine", object, "Codes per step over time: cosine, linear, sigmoid, or pow2, pow3 ...")
    count: int = _option(1, int, "Pictures to draw, of seeds one after the other.", minimum=1, maximum=MOST)
    room: int = _option(512, int, "Tokens that the description may take.", minimum=3, maximum=4096)
    cache: str = _option(
        "none", str,
        "none computes both prompts at every step; block keeps their keys after a step, prefix computes them alone.",
        choices=CACHES,
    )  # fmt: skip
    refresh: int | None = _option(
        None, int, "With cache block: compute the prompts again every so many steps.", minimum=1
    )
    seed: int = _option(0, int, "Of the noise; the same seed gives the same picture.")
    compat: str | None = _option(
        None, str, "official draws as the published code does, oddities included.", choices=COMPAT
    )

    def __post_init__(self) -> None:
        for name, declared in OPTIONS.items():
            if declared.kind is not object:
                object.__setattr__(self, name, declared.check(name, getattr(self, name)))
        check_seed(self.seed)
        object.__setattr__(self, "size", parse_size(self.size))
        if self.schedule not in CURVES and not (isinstance(self.schedule, str) and _POWER.fullmatch(self.schedule)):
            raise RequestError(
                f"unknown schedule {self.schedule!r}; choose one of {', '.join(CURVES)}, or pow and a number"
            )
        DecodeOptions(cache=self.cache, refresh=self.refresh)  # which go together or not

    @property
    def width(self) -> int:
        """Return the width in pixels."""
        return parse_size(self.size)[0]

    @property
    def height(self) -> int:
        """Return the height in pixels."""
        return parse_size(self.size)[1]


OPTIONS: Mapping[str, Option] = {declared.name: declared.metadata["option"] for declared in fields(DrawOptions)}


class DrawNames(TypedDict, total=False):
    """Name the options of `draw` for editors and type checkers; None stands for the default."""

    size: str | int | tuple[int, int] | None
    steps: int | None
    guidance: float | None
    temperature: float | None
    schedule: str | None
    count: int | None
    room: int | None
    cache: Literal["prefix", "none", "block", "dual"] | None
    refresh: int | None
    seed: int | None
    compat: Literal["official"] | None


def draw_options(given: Mapping[str, Any]) -> DrawOptions:
    """Return options by name; None stands for the default. Raises RequestError."""
    check_names(given, tuple(OPTIONS))
    return DrawOptions(**{name: value for name, value in given.items() if value is not None})


def parse_size(size: object) -> tuple[int, int]:
    """Return width and height of `512`, `"512"`, `"512x256"` or a pair. Raises RequestError."""
    pair = size
    if isinstance(size, str) and (match := re.fullmatch(r"(\d{1,5})(?:[xX×](\d{1,5}))?", size.strip())):
        pair = (int(match[1]), int(match[2] or match[1]))
    elif isinstance(size, int) and not isinstance(size, bool):
        pair = (size, size)
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        width, height = pair
        if all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 8192 for n in (width, height)):
            return width, height
    raise RequestError(f"size must be pixels such as 512 or 512x256, got {size!r}")
