"""A batch job: what is asked, of which inputs, by which model, and where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavida.api import DESCRIBE, Model, load
from lavida.batch.answers import READERS
from lavida.batch.entries import Inputs
from lavida.batch.inputs import open_inputs
from lavida.constrain.language import read_schema
from lavida.engine import Engine, answers_at_once
from lavida.errors import RequestError, check_range


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Say where a job runs on Ray, and what each of its workers takes."""

    address: str  # "local" starts a cluster on this machine alone
    workers: int = 1
    cpus: float = 1.0  # of each worker; may be a fraction
    gpus: float = 0.0

    def __post_init__(self) -> None:
        check_range("workers", self.workers, 1, 10_000)
        check_range("worker-cpus", self.cpus, 0, 1024, whole=False)
        check_range("worker-gpus", self.gpus, 0, 64, whole=False)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Hold a job; it is sent to workers as it is."""

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
