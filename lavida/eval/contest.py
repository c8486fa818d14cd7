"""Run one benchmark with one of our models and, if one is named, with a model of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lavida.api import check_options, load
from lavida.batch.cluster import Cluster
from lavida.batch.run import model_identity
from lavida.checkpoint.named import DEFAULT_MODEL
from lavida.errors import RequestError
from lavida.eval.answering import Answerer, LavidaAnswerer, Way
from lavida.eval.cluster import ClusterAnswerer
from lavida.eval.items import Item, Source, Task
from lavida.eval.run import Progress, Run, write_results
from lavida.eval.shares import shared

WAYS = ("generation", "likelihood")


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Hold what is run and how; checked when it is made.

    Raises:
        RequestError: An option is wrong.
    """

    task: Task
    source: Source
    out: Path
    model: str | None = None
    loading: Mapping[str, Any] = field(default_factory=dict)  # other arguments of `lavida.load`
    options: Mapping[str, Any] = field(default_factory=dict)  # of decoding; they go before the task's
    against: str | None = None
    limit: int | None = None
    by: str = "generation"
    suffix: str = ""
    until: tuple[str, ...] = ()  # texts before which an answer is cut
    strip_stop: bool = False  # drop one full stop at the end of an answer
    most: int = 1
    published: Mapping[str, str] | None = None  # a paper's figures by our name of them, for the report
    restart: bool = False
    retry: bool = False
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise RequestError(f"unknown way {self.by!r}; choose one of {', '.join(WAYS)}")
        if self.most < 1 or (self.limit is not None and self.limit < 1):
            raise RequestError("most and limit must be at least 1")
        if self.against is not None and self.against == self.model:
            raise RequestError("against names the model itself; name another one")
        given = {name: value for name, value in self.options.items() if value is not None}
        check_options(self.model, {"length": self.task.length, **self.task.options, **given})

    def run(self, progress: Progress | None = None) -> dict[str, Any] | None:
        """Answer, score and write the report; return the results, or None in all processes but the first.

        Raises:
            LavidaError: The files of the benchmark or a model cannot be read.
        """
        items = self.items()
        with shared(str(self.loading.get("device", "cpu")), on_ray=self.cluster is not None) as share:
            run = Run(
                task=self.task, items=items, data=str(self.source.data), out=self.out, share=share,
                restart=self.restart, retry=self.retry,
            )  # fmt: skip
            names, answerers = [], self._answerers(share.device)
            while (answerer := next(answerers, None)) is not None:
                if self.cluster is not None:
                    answerer = ClusterAnswerer(answerer, self.cluster, self.items, items)
                answerer.load()
                run.answer(answerer, progress, warm_up=self.timed)
                names.append(answerer.name)
                del answerer  # before the next model is loaded
            if share.rank:
                return None
            extra = {"by": self.by, "timed": self.timed}
            return write_results(run, names, extra | ({"published": self.published} if self.published else {}))

    def items(self) -> list[Item]:
        """Return the questions. Raises DataError, or RequestError if there are none that can be asked."""
        items = self.task.load(self.source)[: self.limit]
        if not items:
            raise RequestError(f"{self.source.data} holds no question of {self.task.title}; check the split")
        without = next((item for item in items if not item.answers), None)
        if self.by == "likelihood" and without is not None:
            raise RequestError(f"{without.where}: has no options to compare; ask by generation")
        return items

    @property
    def timed(self) -> bool:
        """Return whether each answer is written alone, so that its seconds mean something."""
        return self.most == 1 and self.by == "generation"

    def _answerers(self, device: str) -> Iterator[Answerer]:
        """Yield the models one after the other, none loaded."""
        way = Way(
            by_likelihood=self.by == "likelihood", suffix=self.suffix, until=self.until, strip_stop=self.strip_stop
        )
        name, loader = str(self.model or DEFAULT_MODEL), partial(load, self.model, **{**self.loading, "device": device})
        identity = model_identity(self.model)
        yield LavidaAnswerer(name, loader, identity, self.task, self.options, way=way, most=self.most)
        if self.against is None:
            return
        from lavida.eval.baseline import TransformersAnswerer

        yield TransformersAnswerer(
            self.against, self.task, length=self.options.get("length"), way=way, device=device,
            dtype=self.loading.get("dtype"),
        )  # fmt: skip
