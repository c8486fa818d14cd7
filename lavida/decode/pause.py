"""Long work that lets others in: between two of its forward passes, it does what its caller asked for.

An infill or an audit makes hundreds of passes. The engine, which calls them in its own thread, advances its answers
meanwhile, and ends the work when nobody waits for it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_BETWEEN: ContextVar[Callable[[], None] | None] = ContextVar("between", default=None)


def pause() -> None:
    """Do what is to be done between two forward passes; what it raises ends the work."""
    between = _BETWEEN.get()
    if between is not None:
        between()


@contextmanager
def pausing(between: Callable[[], None]) -> Iterator[None]:
    """Have the work inside call `between`."""
    token = _BETWEEN.set(between)
    try:
        yield
    finally:
        _BETWEEN.reset(token)
