"""How a module is trained on many processes or little memory; applied from outside, the network knows nothing of it.

torchrun --nproc_per_node 2 -m lavida.cli.main train ...                  # two processes; with --device cuda a GPU each
torchrun --nnodes 4 --nproc_per_node 8 --rdzv-endpoint HOST:29500 -m lavida.cli.main train ... --device cuda
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lavida.errors import ConfigError, RequestError
from lavida.model.denoiser import Denoiser
from lavida.model.siglip import SiglipTower
from lavida.train.processes import world

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Module = TypeVar("Module", bound=nn.Module)


@contextmanager
def processes(device: str = "cpu") -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; this one's device, "cuda" being shared out one to each.

    Raises RequestError if there are fewer GPUs than processes on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield torch.device(device)
        return
    place = torch.device(device)
    if place.type == "cuda":
        place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if place.index >= torch.cuda.device_count():
            count, wanted = torch.cuda.device_count(), os.environ["LOCAL_WORLD_SIZE"]
            raise RequestError(f"{wanted} processes want a GPU each and there are {count}; lower --nproc_per_node")
        torch.cuda.set_device(place)
    dist.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo")
    try:
        yield place
    finally:
        dist.destroy_process_group()


def prepare(
    module: Module, *, shard: int = 0, precision: str = "float32", checkpointing: bool = False, compile: bool = False
) -> Module:
    """Make `module` ready to be trained by all processes; to be called on its device, before an optimizer is made.

    Its `forward` is what is trained: a whole step, from a batch to a loss. Gradients are averaged over processes. What
    else is called of a sharded module wants `gathered`.
    `shard`: how many processes hold the weights, gradients and optimizer states among them, by FSDP; 0 = all of
    them, 1 = each holds everything. `precision`: of the arithmetic, by autocast; weights remain as they are, sharded
    layers send theirs in it. `checkpointing`: layers compute their activations again in the backward pass.
    `compile`: layers go through torch.compile, which needs a compiler for C++ on a CPU.
    Raises ConfigError for a value that cannot be had.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"unknown precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    shard = shard or world()
    if shard < 0 or world() % shard:
        raise ConfigError(f"{world()} processes cannot form groups of {shard}; give a divisor of their number")
    for layer in layers(module):
        if checkpointing:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        if compile:
            layer.compile()
    dtype = PRECISIONS[precision]
    if dtype != torch.float32:
        kind = next(module.parameters()).device.type
        module.forward = torch.autocast(kind, dtype)(module.forward)
    if world() > 1:
        _shard(module, shard, dtype)
    return module


def layers(module: nn.Module) -> list[nn.Module]:
    """The layers that repeat in denoiser and tower: units of sharding, checkpointing and compilation."""
    found: list[nn.Module] = []
    for part in module.modules():
        if isinstance(part, Denoiser):
            found += part.blocks
        elif isinstance(part, SiglipTower):
            found += part.encoder.layers
    return found


def _shard(module: nn.Module, shard: int, dtype: torch.dtype) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    for p in module.parameters():
        p.data = p.data.contiguous()  # FSDP takes no other; convolutions may lie channels last
    kind = next(module.parameters()).device.type
    mesh = init_device_mesh(kind, (world() // shard, shard), mesh_dim_names=("copies", "parts"))
    mesh = mesh["parts"] if shard == world() else mesh
    # Autocast would round the layers' matrices anyway; embeddings, and with them the residual stream, stay as they are.
    sent = MixedPrecisionPolicy(
        param_dtype=None if dtype == torch.float32 else dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for layer in layers(module):
        fully_shard(layer, mesh=mesh, mp_policy=sent)
    fully_shard(module, mesh=mesh, mp_policy=MixedPrecisionPolicy(cast_forward_inputs=False))


@contextmanager
def gathered(module: nn.Module, *, precision: str = "float32") -> Iterator[None]:
    """Inside, parts of a prepared module can be called by themselves, to evaluate and to decode, without gradients.

    Every process holds all weights meanwhile; they need not do the same. `precision` is what `prepare` was given.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard

    sharded = [part for part in module.modules() if isinstance(part, FSDPModule)]
    if sharded:
        fully_shard.state(module)._lazy_init()  # or the first layer to be called would take itself for the root
    for part in sharded:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    kind, dtype = next(module.parameters()).device.type, PRECISIONS[precision]
    try:
        with torch.no_grad(), torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            yield
    finally:
        for part in sharded:
            part.set_reshard_after_forward(part is not module, recurse=False)
            part.reshard()


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """Weights by name, gathered from all processes, on the CPU of the first one; the others get an empty dict."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
