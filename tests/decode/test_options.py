from __future__ import annotations

import numpy as np
import pytest
import torch

from lavida.decode.options import DecodeOptions
from lavida.errors import RequestError


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("length", 0, "length must be 1 to"),
        ("steps", 0, "steps must be at least 1"),
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


@pytest.mark.parametrize("length", [1, 7, 10, 33, 64])
def test_steps_are_shared_by_tokens(length: int) -> None:
    for block in range(1, length + 1):
        blocks = -(-length // block)
        for steps in range(blocks, length + 1):
            options = DecodeOptions(length=length, block=block, steps=steps)
            shares, sizes = options.steps_per_block(), [end - start for start, end in options.blocks()]
            assert sum(shares) == steps
            assert all(1 <= share <= size for share, size in zip(shares, sizes, strict=True))
            if length % block == 0:  # equal blocks: an even share, the remainder first
                assert shares == [steps // blocks + (i < steps % blocks) for i in range(blocks)]


def test_numbers_of_other_libraries_are_numbers() -> None:
    options = DecodeOptions(length=np.int64(8), temperature=np.float32(0.5), seed=np.int32(3))
    assert type(options.length) is int and type(options.temperature) is float and options.seed == 3


def test_blocks_and_their_steps() -> None:
    options = DecodeOptions(length=10, block=4, steps=7)
    assert options.blocks() == [(0, 4), (4, 8), (8, 10)]
    assert options.steps_per_block() == [3, 3, 1]
    assert DecodeOptions(length=10).steps_per_block() == [10]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_k": 2.0}, "top_k must be a whole number"),
        ({"threshold": 1.5}, "threshold must be above 0 and at most 1"),
        ({"guidance": -1.0}, "guidance must be 0 to 10"),
        ({"compat": "paper"}, "unknown compat 'paper'"),
        ({"stops": ((),)}, "a stop must hold at least one token id"),
        ({"banned": (-1,)}, "banned must hold token ids"),
        ({"top_p": 0.9}, "change nothing at temperature 0"),
        ({"threshold": 0.9, "remasking": "entropy"}, "a threshold compares probabilities"),
        ({"selection_temperature": 0.5, "remasking": "random"}, "neither random nor a rule"),
        ({"selection_temperature": 0.5, "threshold": 0.5}, "neither random nor threshold"),
        ({"counts": (16, 16), "steps": 2}, "leave out steps and block"),
        ({"counts": (16, 16), "block": 16}, "leave out steps and block"),
        ({"counts": (33, -1)}, "0 or above"),
        ({"threshold": 0.9, "factor": 1.0}, "threshold and factor are two rules"),
        ({"factor": 0.0}, "factor must be above 0 and at most 100"),
        ({"factor": 1.0, "remasking": "random"}, "a factor compares probabilities"),
        ({"entropy_bound": 1.0}, "goes with remasking entropy only"),
        ({"entropy_bound": 1.0, "remasking": "entropy", "selection_temperature": 1.0}, "nor entropy_bound"),
        ({"refresh": 2}, "cache 'prefix' is exact; leave out refresh"),
        ({"refresh": 0, "cache": "dual"}, "refresh must be at least 1"),
        ({"revise": 0.5, "remasking": "entropy"}, "a revise compares probabilities"),
        ({"revise": 0.5, "counts": (32,)}, "leave out revise"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(options: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        DecodeOptions(**options)
    assert "\n" not in str(caught.value)


def test_plan_follows_the_schedule_or_the_counts() -> None:
    generator = torch.Generator()
    assert DecodeOptions(length=8).plan(8, 2, generator) == [6, 2]
    assert DecodeOptions(length=8, counts=(0, 5, 3)).plan(8, 8, generator) == [0, 5, 3]
    with pytest.raises(RequestError, match="counts commits 8 tokens and 7 are masked"):
        DecodeOptions(length=8, counts=(0, 5, 3)).plan(7, 8, generator)


def test_only_the_official_block_caches_look_twice() -> None:
    generator = torch.Generator()
    assert DecodeOptions(length=8, cache="dual").plan(8, 1, generator) == [8]
    assert DecodeOptions(length=8, cache="none", compat="official").plan(8, 1, generator) == [8]
    assert DecodeOptions(length=8, cache="dual", compat="official").plan(8, 1, generator) == [8, 0]
