"""What stands for a question while it is being answered."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from lavida.api import Answer, Asked
from lavida.decode.loop import Step


class Ticket(Future[Answer]):
    """A future of the answer; who waits for it keeps the engine going. It may be cancelled at any step."""

    def __init__(self, asked: Asked, turn: Callable[[], bool], finished: Callable[[Step, float], Answer]) -> None:
        super().__init__()
        self.asked = asked
        self.steps: deque[Step] | None = None  # those that nobody has taken yet, if anybody wants them
        self._turn, self._finished = turn, finished
        self._start = time.perf_counter()

    def result(self, timeout: float | None = None) -> Answer:
        """The answer, or what it failed with is raised; TimeoutError after so many seconds."""
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the answer failed with, if it did."""
        self._wait(timeout)
        return super().exception(0)

    def settle(self, last: Step | None, error: Exception | None = None) -> None:
        """There are no more steps; `last` is the last one, unless the request failed. Nothing is told if cancelled."""
        with suppress(InvalidStateError):
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(self._finished(last, time.perf_counter() - self._start))

    def _wait(self, timeout: float | None) -> None:
        end = None if timeout is None else time.perf_counter() + timeout
        while not self.done():
            if end is not None and time.perf_counter() > end:
                raise TimeoutError(f"no answer within {timeout} seconds")
            self._turn()
