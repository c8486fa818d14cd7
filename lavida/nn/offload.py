"""Offloading: blocks stay in the CPU's memory and are copied to the device one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Offloaded(nn.Module):
    """Wrap a block whose weights are copied to `device` for each call and dropped after it; for inference only."""

    def __init__(self, block: nn.Module, device: torch.device | str) -> None:
        super().__init__()
        self._held = (block.eval(),)  # not a submodule: `model.to(device)` would take it along
        self.device = torch.device(device)

    @property
    def block(self) -> nn.Module:
        """Return the block that is held on the CPU."""
        return self._held[0]

    def copied(self) -> dict[str, Tensor]:
        """Return the block's tensors by name, copied to the device."""
        held = (*self.block.named_parameters(), *self.block.named_buffers())
        return {name: tensor.detach().to(self.device, non_blocking=True) for name, tensor in held}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the block on the device."""
        return functional_call(self.block, self.copied(), args, kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Offloaded:
        # `model.to` calls this on every module: the block follows a change of dtype and stays on the CPU.
        self.block._apply(lambda tensor: tensor.to(fn(tensor.new_empty(0)).dtype), recurse)
        return self
