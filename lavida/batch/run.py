"""Run a batch job here or on Ray, and write what is not in its output yet.

    job = Job(inputs="photos/", out=Path("answers.jsonl"), question="What is this?", options={"steps": 8})
    with prepare(job) as prepared:
        for line in prepared.lines():
            print(line["id"], line["text"])

Each line is in the output before it is yielded. To run the same job again goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lavida
from lavida.api import check_options
from lavida.batch.answers import Line, answer_entries
from lavida.batch.cluster import cluster_lines
from lavida.batch.entries import Inputs
from lavida.batch.job import Job, SharedJob
from lavida.batch.output import Output
from lavida.checkpoint.adapters import WEIGHTS, find_adapter
from lavida.checkpoint.named import find_model
from lavida.decode.calibration import fingerprint
from lavida.errors import RequestError

# Options of loading that may change the answers; where and how fast they are computed may differ between runs.
_DECIDING = ("dtype", "quantize", "template")
_TRIED = 10  # inputs that are read before any is answered


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Hold a job whose inputs and output are open."""

    job: Job
    inputs: Inputs
    output: Output

    def lines(self) -> Iterator[Line]:
        """Answer what is not answered yet; yield each line once it is written.

        Raises:
            LavidaError: The model cannot be loaded, memory ran out, or the cluster failed.
        """
        if self.output.done.marked == len(self.inputs):
            return
        if self.job.cluster is not None:
            work = SharedJob(job=self.job, stamp=self.inputs.stamp())
            found = cluster_lines(work, self.job.cluster, self.output.done.missing())
        else:
            found = self._lines_here()
        with closing(found):
            for line in found:
                if self.output.append(line):
                    yield line

    def _lines_here(self) -> Generator[Line]:
        engine = self.job.engine(self.job.load())
        finished = False
        try:
            entries = self.inputs.entries(self.output.done.missing())
            yield from answer_entries(engine, entries, self.job.options, readers=self.job.readers)
            finished = True
        finally:
            engine.close(finish=finished)


@contextmanager
def prepare(job: Job) -> Iterator[Prepared]:
    """Check a job, open its inputs and go on with its output; no weights are read yet.

    Raises:
        LavidaError: An option is wrong, there are no inputs, or the output is that of another job.
    """
    check_options(job.model, job.options)
    inputs = job.open()
    first = list(inputs.entries(range(min(_TRIED, len(inputs)))))
    if len(first) == _TRIED and all(entry.error for entry in first):
        raise RequestError(f"{job.inputs}: none of the first {_TRIED} inputs can be read: the first {first[0].error}")
    if job.out.exists() and Path(job.inputs).exists() and job.out.samefile(job.inputs):
        raise RequestError(f"{job.out} is the input; write the answers elsewhere")
    with Output(job.out, _settings(job, inputs), len(inputs), restart=job.restart, retry=job.retry) as output:
        yield Prepared(job=job, inputs=inputs, output=output)


def _settings(job: Job, inputs: Inputs) -> dict[str, Any]:
    """Return what decides the lines, under the names that a user knows."""
    return {
        "the input": f"{inputs.kind}, {len(inputs)} inputs, {inputs.stamp()}",
        "--question": job.question,
        **{f"--{name}": value for name, value in job.options.items()},
        "the model": model_identity(job.model),
        **{f"--{name}": job.loading.get(name) for name in _DECIDING},
        "the version of lavida": lavida.__version__,
    }


def model_identity(model: str | None) -> str:
    """Return a digest of a model's files, and of adapters on it."""
    identity, adapter = fingerprint(find_model(model)), find_adapter(model)
    if adapter is not None:
        identity += " with adapters " + hashlib.blake2b((adapter / WEIGHTS).read_bytes(), digest_size=16).hexdigest()
    return identity
