from __future__ import annotations

import pytest

from lavida.decode.options import DecodeOptions
from lavida.errors import RequestError


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("length", 0, "length must be 1 to"),
        ("steps", 0, "steps must be 1 to length"),
        ("steps", 1000, "steps must be 1 to length"),
        ("block", 33, "block must be 1 to length"),
        ("schedule", "quadratic", "unknown schedule 'quadratic'"),
        ("remasking", "low", "unknown remasking 'low'"),
        ("cache", "triple", "unknown cache 'triple'"),
        ("shift", 0, "shift must be above 0"),
        ("temperature", -1, "temperature must be 0 to 10"),
        ("temperature", float("nan"), "temperature must be 0 to 10"),
        ("steps", 2.5, "steps must be a whole number"),
        ("seed", None, "seed must be a whole number"),
    ],
)
def test_bad_values_are_refused_in_one_line(field: str, value: object, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        DecodeOptions(**{field: value})
    assert "\n" not in str(caught.value)


def test_every_block_needs_a_step() -> None:
    with pytest.raises(RequestError, match="steps must be 4"):
        DecodeOptions(length=32, block=8, steps=3)


def test_blocks_and_their_steps() -> None:
    options = DecodeOptions(length=10, block=4, steps=7)
    assert options.blocks() == [(0, 4), (4, 8), (8, 10)]
    assert options.steps_per_block() == [3, 2, 2]
    assert DecodeOptions(length=10).steps_per_block() == [10]
