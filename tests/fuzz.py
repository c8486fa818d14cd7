"""Fuzzing: how many cases run by default and in the slow run, and what a case may end in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st

from lavida.errors import LavidaError

FEW, MANY = 150, 5000
SEED = 20261130
LONGEST = 10.0  # seconds of processor time of one case, so that a busy machine does not count

# Every JSON-like value, and what Python programs put into dialogues besides.
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def cases(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a property for so many cases from the stated seed."""

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        few = settings(
            max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
        )
        return seed(SEED)(few(test))

    return decorate


def run(work: Callable[[], object]) -> bool:
    """Return whether a case succeeds; it may raise only a LavidaError of one line, within LONGEST."""
    start = time.process_time()
    try:
        work()
        return True
    except LavidaError as error:
        assert "\n" not in str(error) and str(error), repr(error)
        return False
    finally:
        assert time.process_time() - start < LONGEST


few_and_many = pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
