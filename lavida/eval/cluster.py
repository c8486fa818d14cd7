"""Answer the questions of a benchmark on Ray: workers with a model each write, this process keeps what they wrote.

lavida eval coco DATA --out OUT --ray local --workers 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from lavida.batch.answers import Line
from lavida.batch.cluster import Cluster, Work, cluster_lines
from lavida.errors import RequestError
from lavida.eval.answering import Answerer, Reply
from lavida.eval.items import Item, stamp


class ClusterAnswerer:
    """Answer as another answerer does, which each worker loads.

    Args:
        answerer: Not loaded.
        cluster: Where workers run.
        read: Reads the questions; a worker reads them itself.
        items: What it returns here.
    """

    def __init__(
        self, answerer: Answerer, cluster: Cluster, read: Callable[[], Sequence[Item]], items: Sequence[Item]
    ) -> None:
        self.name, self._cluster = answerer.name, cluster
        self._work = _Questions(answerer, read, stamp(items))

    def settings(self) -> Mapping[str, Any]:
        """Return what decides the answers, as JSON has it."""
        return self._work.answerer.settings()

    def load(self) -> None:
        """Load nothing: workers do."""

    def warm_up(self, item: Item) -> None:
        """Have each worker answer a question, once it has loaded its model, and keep nothing of it."""
        self._work.first = item

    def replies(self, asked: Iterable[tuple[int, Item]]) -> Iterator[Reply]:
        """Yield a reply to each question, as workers send them. Raises RequestError."""
        with closing(cluster_lines(self._work, self._cluster, (number for number, _ in asked))) as lines:
            for line in lines:
                yield Reply(**{**line, "probabilities": tuple(line["probabilities"])})


class _Questions(Work):
    """Hold what is sent to workers."""

    def __init__(self, answerer: Answerer, read: Callable[[], Sequence[Item]], digest: str) -> None:
        self.answerer, self._read, self._digest = answerer, read, digest
        self.first: Item | None = None  # to be warmed up with

    def open(self) -> Callable[[Iterable[int]], Iterator[Line]]:
        """Read the questions and load the model; return what answers those of some numbers. Raises LavidaError."""
        items = self._read()
        if stamp(items) != self._digest:
            raise RequestError("a worker sees other questions; give DATA by a path that all machines share")
        self.answerer.load()
        if self.first is not None:
            self.answerer.warm_up(self.first)
        return lambda numbers: map(asdict, self.answerer.replies((n, items[n]) for n in numbers))
