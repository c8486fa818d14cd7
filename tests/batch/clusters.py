"""A Ray cluster of two nodes on this machine, and one that is none, for tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import cloudpickle
import numpy as np
import pytest

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster whose nodes have a CPU each and listen on loopback alone."""
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class FakeRay:
    """Stand in for Ray within this process: workers take blocks in turn, and the last block comes back first.

    Attributes:
        starts: How often a cluster was started.
        dies: Rows after which the cluster is lost; None: never.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.starts, self.dies, self.asked = 0, None, {}
        ray, data = ModuleType("ray"), ModuleType("ray.data")
        ray.init, ray.shutdown, ray.data = self._init, lambda: None, data
        ray.exceptions = SimpleNamespace(RayError=type("RayError", (Exception,), {}))
        self._lost = ray.exceptions.RayError("a node\nwas lost")
        data.DataContext = SimpleNamespace(get_current=SimpleNamespace)
        data.ActorPoolStrategy, data.from_numpy = SimpleNamespace, lambda blocks: _Blocks(self, blocks)
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setitem(sys.modules, "ray.data", data)
        for name in (*QUIET, "RAY_BACKEND_LOG_LEVEL"):  # which the code under test sets
            monkeypatch.setenv(name, os.environ.get(name, "0"))

    def _init(self, **options: Any) -> None:
        self.starts += 1

    def rows(self, rows: list[Any]) -> Iterator[Any]:
        """The rows, until the cluster is lost."""
        for count, row in enumerate(rows):
            if count == self.dies:
                raise self._lost
            yield row


class _Blocks:
    def __init__(self, ray: FakeRay, blocks: list[np.ndarray]) -> None:
        self._ray, self._blocks = ray, blocks

    def map_batches(self, worker: type, *, fn_constructor_args: Any, compute: Any, **asked: Any) -> _Blocks:
        self._ray.asked = asked
        sent = cloudpickle.dumps(fn_constructor_args)
        workers = [worker(*cloudpickle.loads(sent)) for _ in range(compute.size)]
        found = [workers[n % compute.size]({"data": block}) for n, block in enumerate(self._blocks)]
        self._rows = [{"line": line} for block in reversed(found) for line in block["line"]]
        return self

    def iter_rows(self) -> Iterator[Any]:
        return self._ray.rows(self._rows)
