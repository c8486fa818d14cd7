"""Share the questions of a benchmark among the processes that torchrun starts.

torchrun --nproc_per_node 8 -m lavida.cli.main eval coco DATA --out OUT --device cuda
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from lavida.errors import RequestError
from lavida.train.failure import reported

_PATIENCE = timedelta(days=30)  # in which the slowest process must be done


@dataclass(frozen=True, kw_only=True)
class Share:
    """Say which of the questions a process answers: those whose number is `rank` modulo `world`."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def shared(device: str, *, on_ray: bool = False) -> Iterator[Share]:
    """Join the processes that torchrun started, if it did; yield the share of this one.

    "cuda" stands for a GPU of its own for each process. An error is reported once, by the first process that fails.

    Raises:
        RequestError: There are fewer GPUs than processes on this machine, or Ray is to share the questions too.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Share(device=device)
        return
    with reported():
        if on_ray:
            raise RequestError("--ray and torchrun both share the questions; start the command without torchrun")
        if device == "cuda":
            local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
            if local >= count:
                raise RequestError(
                    f"{os.environ['LOCAL_WORLD_SIZE']} processes need a GPU each and there are {count}; "
                    "lower --nproc_per_node"
                )
            device = f"cuda:{local}"
            torch.cuda.set_device(local)
        dist.init_process_group("gloo", timeout=_PATIENCE)
        try:
            yield Share(rank=dist.get_rank(), world=world, device=device)
        finally:
            dist.destroy_process_group()
