"""Work on Ray: workers with a model each make the lines of blocks of numbers, and this process alone writes them.

Blocks of numbers go out, blocks of lines come back (`ray.data`, `map_batches` over actors). Nothing but this process
writes, so what holds of work without Ray holds here: a line is in the output once and whole. A worker that is killed
is started again and its block answered anew; a line that came already is not written twice.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from lavida.batch.answers import Line
from lavida.errors import LavidaError, RequestError, check_range

LOCAL = "local"
_BLOCK = 32  # numbers of a block at most: what a worker that is killed, or a job, answers twice
_BLOCKS = 10_000  # of a job at most; those of a longer one are larger
_STORE = 256 * 2**20  # bytes of shared memory of a cluster that is started here; it holds lines only
# Read when Ray is imported or started; what the user has set is left alone.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# For a cluster of this machine alone. The first is the one switch that makes all servers of Ray listen on 127.0.0.1,
# named after the systems where that is the rule; by the second, workers are as urgent as this process.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Say where work runs on Ray, and what each of its workers takes."""

    address: str  # "local" starts a cluster on this machine alone
    workers: int = 1
    cpus: float = 1.0  # of each worker; may be a fraction
    gpus: float = 0.0

    def __post_init__(self) -> None:
        check_range("workers", self.workers, 1, 10_000)
        check_range("worker-cpus", self.cpus, 0, 1024, whole=False)
        check_range("worker-gpus", self.gpus, 0, 64, whole=False)


class Work(Protocol):
    """Say what workers do; it is sent to each of them as it is."""

    def open(self) -> Callable[[Iterable[int]], Iterable[Line]]:
        """Open files and load the model, once in a worker; return what makes the lines of a block of numbers.

        Raises:
            LavidaError: The worker lacks something; this ends the work.
        """


class Worker:
    """Make the lines of blocks with one model, which is loaded once."""

    def __init__(self, work: Work) -> None:
        self.error = ""
        try:
            self.lines = work.open()
        except LavidaError as error:  # an exception would be tried again, and told with all of Ray's own calls
            self.error = str(error)

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        """Return the lines of a block, or the one that ends the work."""
        lines: list[Any] = [{"fatal": self.error}] if self.error else []
        try:
            if not self.error:
                lines = list(self.lines(block["data"].tolist()))
        except LavidaError as error:
            lines = [{"fatal": str(error)}]
        return {"line": np.array([json.dumps(line) for line in lines], dtype=object)}


def cluster_lines(work: Work, cluster: Cluster, numbers: Iterable[int]) -> Generator[Line]:
    """Yield the lines of ascending numbers, as workers send them.

    Raises:
        RequestError: Ray is missing, the cluster cannot be reached, or the job failed there.
    """
    left = np.fromiter(numbers, np.int64)
    if not len(left):
        return
    ray = _connect(cluster)
    try:
        yield from _lines(ray, work, cluster, left)
    except LavidaError:
        raise
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise RequestError(f"the job failed on Ray ({_last_line(error)}); run it again to go on from here") from None
    finally:
        ray.shutdown()


def _lines(ray: ModuleType, work: Work, cluster: Cluster, numbers: np.ndarray) -> Generator[Line]:
    size = max(1, min(max(_BLOCK, len(numbers) // _BLOCKS), -(-len(numbers) // (4 * cluster.workers))))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    answered = ray.data.from_numpy(np.array_split(numbers, -(-len(numbers) // size))).map_batches(
        Worker,
        fn_constructor_args=(work,),
        batch_size=size,
        compute=ray.data.ActorPoolStrategy(size=cluster.workers),
        num_cpus=cluster.cpus,
        num_gpus=cluster.gpus,
    )
    for row in answered.iter_rows():
        line = json.loads(row["line"])
        if "fatal" in line:
            raise RequestError(line["fatal"])
        yield line


def _connect(cluster: Cluster) -> ModuleType:
    """Start or join a cluster and return Ray."""
    for name, value in (_QUIET | (_ALONE if cluster.address == LOCAL else {})).items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError:
        raise RequestError("--ray needs Ray: pip install 'lavida[ray]'") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
    try:
        if cluster.address == LOCAL:
            # Its CPUs are places for workers, not a limit: as many as are asked for, and some for Ray's own tasks.
            cpus = int(max(os.cpu_count() or 1, cluster.workers * cluster.cpus + 1))
            own = {"num_cpus": cpus, "object_store_memory": _STORE, "include_dashboard": False}
            ray.init(address=LOCAL, _node_ip_address="127.0.0.1", **own, **quiet)
        else:
            _knock(cluster.address)
            ray.init(address=cluster.address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = "cannot be started here" if cluster.address == LOCAL else f"at {cluster.address} cannot be joined"
        raise RequestError(f"a Ray cluster {where} ({_last_line(error)}); see docs/batch.md") from None
    return ray


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in address:
        socket.create_connection((host, int(port)), 10).close()


def _last_line(error: BaseException) -> str:
    """Return the last line of an error, which in Ray's holds the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{lines[-1] if lines else type(error).__name__:.300}"
