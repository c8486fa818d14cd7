"""What a caller may choose about decoding."""

from __future__ import annotations

from dataclasses import dataclass

from lavida.diffusion.schedule import DEFAULT_SHIFT, SCHEDULES
from lavida.errors import RequestError

REMASKING = ("confidence", "margin", "entropy", "random")
CACHES = ("prefix", "none")
MAX_LENGTH = 4096


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise RequestError(message)


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """Validated on construction; RequestError names the field and its range."""

    length: int = 32  # canvas, tokens
    steps: int | None = None  # forward passes over the whole canvas; None = one per token
    block: int | None = None  # canvas is finished block by block, left to right; None = one block
    schedule: str = "shift"
    shift: float = DEFAULT_SHIFT  # of the "shift" schedule; below 1 commits many tokens early
    remasking: str = "confidence"  # what makes a token certain enough to commit
    temperature: float = 0.0  # of the Gumbel noise on the logits; 0 = argmax
    cache: str = "prefix"  # "none" recomputes the prompt at each step and lets it see the canvas
    seed: int = 0
    early_stop: bool = True  # finish when an end token is committed and all before it is

    def __post_init__(self) -> None:
        for name in ("length", "steps", "block", "seed"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole or (value is None and name in ("steps", "block")), f"{name} must be a whole number")
        _require(1 <= self.length <= MAX_LENGTH, f"length must be 1 to {MAX_LENGTH}, got {self.length}")
        if self.block is not None:
            _require(1 <= self.block <= self.length, f"block must be 1 to length ({self.length}), got {self.block}")
        blocks = len(self.blocks())
        if self.steps is not None:
            least = "1" if blocks == 1 else f"{blocks} (one per block)"
            message = f"steps must be {least} to length ({self.length}), got {self.steps}"
            _require(blocks <= self.steps <= self.length, message)
        for name, known in (("schedule", SCHEDULES), ("remasking", REMASKING), ("cache", CACHES)):
            value = getattr(self, name)
            _require(value in known, f"unknown {name} {value!r}; choose one of {', '.join(known)}")
        _require(0 < self.shift <= 100, f"shift must be above 0 and at most 100, got {self.shift}")
        _require(0 <= self.temperature <= 10, f"temperature must be 0 to 10, got {self.temperature}")

    def blocks(self) -> list[tuple[int, int]]:
        """(start, end) of each block; the last may be shorter."""
        size = self.block or self.length
        return [(start, min(start + size, self.length)) for start in range(0, self.length, size)]

    def steps_per_block(self) -> list[int]:
        """Steps of each block: an even share, the remainder first."""
        total, n = self.steps or self.length, len(self.blocks())
        return [total // n + (i < total % n) for i in range(n)]
