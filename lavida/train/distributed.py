"""Train on many processes or in little memory; applied from outside, the network knows nothing of it.

torchrun --nproc_per_node 2 -m lavida.cli.main train ...                  # two processes; with --device cuda a GPU each
torchrun --nnodes 4 --nproc_per_node 8 --rdzv-endpoint HOST:29500 -m lavida.cli.main train ... --device cuda
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lavida.errors import ConfigError, RequestError
from lavida.model.denoiser import Denoiser
from lavida.model.siglip import SiglipTower
from lavida.train.failure import reported

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Module = TypeVar("Module", bound=nn.Module)
Value = TypeVar("Value")


def joined() -> bool:
    """Return whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if joined() else 0


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if joined() else 1


def sum_all(values: Sequence[float], device: torch.device | str = "cpu") -> list[float]:
    """Return sums over all processes, in double precision."""
    if world() == 1:
        return list(values)
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    return summed.tolist()


def gather_objects(value: Value) -> list[Value]:
    """Return the values of all processes, in the order of their ranks."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value)
    return values


@contextmanager
def processes(device: str = "cpu") -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yield the device of this one.

    "cuda" stands for a GPU of its own for each process. An error is reported once, by the first process that fails.

    Raises:
        RequestError: There are fewer GPUs than processes on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield torch.device(device)
        return
    with reported():
        place = torch.device(device)
        if place.type == "cuda":
            place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            if place.index >= torch.cuda.device_count():
                count, wanted = torch.cuda.device_count(), os.environ["LOCAL_WORLD_SIZE"]
                raise RequestError(f"{wanted} processes need a GPU each and there are {count}; lower --nproc_per_node")
            torch.cuda.set_device(place)
        dist.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo")
        try:
            yield place
        finally:
            dist.destroy_process_group()


def prepare(
    module: Module, *, shard: int = 0, precision: str = "float32", checkpointing: bool = False, compile: bool = False
) -> Module:
    """Make `module` ready to be trained by all processes.

    Call it with the module on its device and before an optimizer is made. Its `forward` is what is trained; other
    methods of a sharded module need `unsharded`. Gradients are averaged over processes.

    Args:
        module: The network and its loss.
        shard: The number of processes that hold the weights, gradients and optimizer states among them, by FSDP; 0 =
            all of them, 1 = each holds everything.
        precision: Of the arithmetic, by autocast; weights remain as they are, sharded layers are sent in it.
        checkpointing: Layers compute their activations again in the backward pass.
        compile: Layers go through torch.compile, which needs a C++ compiler on a CPU.

    Raises:
        ConfigError: A value is unknown or does not fit the number of processes.
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
    """Return the repeated layers of denoiser and tower: the units of sharding, checkpointing and compilation."""
    lists = (
        part.blocks if isinstance(part, Denoiser) else part.encoder.layers if isinstance(part, SiglipTower) else ()
        for part in module.modules()
    )
    return [layer for layers in lists for layer in layers]


def _shard(module: nn.Module, shard: int, dtype: torch.dtype) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    for p in module.parameters():
        p.data = p.data.contiguous()  # FSDP takes no other; convolutions may lie channels last
    kind = next(module.parameters()).device.type
    mesh = init_device_mesh(kind, (world() // shard, shard), mesh_dim_names=("copies", "parts"))
    mesh = mesh["parts"] if shard == world() else mesh
    whole = MixedPrecisionPolicy(cast_forward_inputs=False)
    # Autocast would round the layers' matrices anyway; embeddings, and with them the residual stream, stay as they are.
    rounded = MixedPrecisionPolicy(
        param_dtype=None if dtype == torch.float32 else dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for layer in layers(module):
        # A LayerNorm takes inputs and weights of one type only, and autocast leaves both alone on a CPU.
        normed = any(isinstance(part, nn.LayerNorm) for part in layer.modules())
        fully_shard(layer, mesh=mesh, mp_policy=whole if normed else rounded)
    fully_shard(module, mesh=mesh, mp_policy=whole)
    # What the root of a sharded module does in a forward pass besides its layers.
    module.begin_forward = lambda: None  # type: ignore[assignment]
    register_fsdp_forward_method(module, "begin_forward")


@contextmanager
def unsharded(module: nn.Module, *, precision: str = "float32") -> Iterator[None]:
    """Allow parts of a prepared module to be called by themselves, to evaluate and to decode, without gradients.

    Every process holds all weights meanwhile; they need not do the same. `precision` is what `prepare` was given.
    """
    from torch.distributed.fsdp import FSDPModule

    sharded = [part for part in module.modules() if isinstance(part, FSDPModule)]
    kind, dtype = next(module.parameters()).device.type, PRECISIONS[precision]
    with torch.no_grad():
        if sharded:
            module.begin_forward()  # type: ignore[operator] # or the first layer to be called would act as the root
        for part in sharded:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        try:
            with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
                yield
        finally:
            for part in sharded:
                part.set_reshard_after_forward(part is not module, recurse=False)
                part.reshard()


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """Return all weights by name on the CPU of the first process; the others get an empty dict."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    state = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
