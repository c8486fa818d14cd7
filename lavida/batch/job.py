"""A batch job: what is asked, of which inputs, by which model, and where it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavida.api import DESCRIBE, Model, load
from lavida.batch.answers import READERS, Line, answer_entries
from lavida.batch.cluster import Cluster
from lavida.batch.entries import Inputs
from lavida.batch.inputs import open_inputs
from lavida.constrain.language import read_schema
from lavida.engine import Engine, answers_at_once
from lavida.errors import RequestError, check_range


@dataclass(frozen=True, kw_only=True)
class Job:
    """Hold a job."""

    inputs: str
    out: Path
    images: str | None = None  # folder of the pictures that lines and rows name
    question: str = DESCRIBE  # of inputs without one
    options: Mapping[str, Any] = field(default_factory=dict)  # as `Model.ask` takes them
    model: str | None = None
    loading: Mapping[str, Any] = field(default_factory=dict)  # other arguments of `lavida.load`
    most: int | None = None  # answers side by side; None: as memory allows
    readers: int = READERS
    restart: bool = False
    retry: bool = False
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        check_range("readers", self.readers, 1, 256)
        if self.most is not None:
            check_range("most", self.most, 1, 4096)
        if not self.question.strip():
            raise RequestError("the question is empty; ask something about the pictures")
        if self.options.get("deadline") is not None:
            raise RequestError("deadline is about one answer alone, and those of a batch are written side by side")
        options = {name: value for name, value in self.options.items() if value is not None}
        if isinstance(options.get("schema"), (str, Path)):  # read once, and workers have no such file
            options["schema"] = read_schema(options["schema"])
        object.__setattr__(self, "options", options)

    def open(self) -> Inputs:
        """Open the inputs. Raises DataError."""
        return open_inputs(self.inputs, images=self.images, asked=self.question)

    def engine(self, model: Model) -> Engine:
        """Return a started engine for the answers."""
        return Engine(model, most=self.most or answers_at_once(model)).start()

    def load(self) -> Model:
        """Load the model."""
        return load(self.model, **self.loading)


@dataclass(frozen=True, kw_only=True)
class SharedJob:
    """Hold a job that workers on Ray share, and the digest of the inputs that all must see."""

    job: Job
    stamp: str

    def open(self) -> Callable[[Iterable[int]], Iterator[Line]]:
        """Open the inputs and load the model; return what answers the inputs at some places. Raises LavidaError."""
        inputs = self.job.open()
        if inputs.stamp() != self.stamp:
            raise RequestError(f"a worker sees another {self.job.inputs}; give a path that all machines share")
        engine = self.job.engine(self.job.load())
        options, readers = self.job.options, self.job.readers
        return lambda places: answer_entries(engine, inputs.entries(places), options, readers=readers)
