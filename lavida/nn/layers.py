"""RMSNorm, rotary embedding and SwiGLU, computed as in LLaDA's own code (float32 inside)."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.nn.packed import products


def add(x: Tensor, change: Tensor) -> Tensor:
    """Return x + change, in the memory of `change` where no gradient is wanted."""
    return x + change if torch.is_grad_enabled() or change.dtype != x.dtype else change.add_(x)


class RMSNorm(nn.Module):
    """Compute x / rms(x) in float32, cast back, times the weight."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [..., D]."""
        if x.dtype == torch.float32 and x.device.type == "cpu" and not torch.is_grad_enabled():
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)  # the same to the bit, in one call
        x32 = x.float()
        x32 = x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * x32.to(x.dtype)


class SwiGLU(nn.Module):
    """Compute down(silu(gate(x)) * up(x)), without biases."""

    def __init__(self, d_model: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, hidden, bias=False)
        self.up = nn.Linear(d_model, hidden, bias=False)
        self.down = nn.Linear(hidden, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to x [..., D]."""
        gate, up = products(x, self.gate, self.up)
        return self.down(F.silu(gate) * up)


def rotary_tables(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosine and sine for `positions` [..., L]: [..., L, H] in float32, sines of the first half negative."""
    half = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    angles = positions[..., None].float() * (1.0 / theta**half)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def rotary_span(start: int, end: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the tables of positions [start, end), from tables that are computed once."""
    room = 1 << max(9, (end - 1).bit_length())  # grows by doubling, so that few are ever computed
    cos, sin = _kept_tables(room, head_dim, theta, device)
    return cos[start:end], sin[start:end]


@lru_cache(maxsize=8)
def _kept_tables(length: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # tables first used for inference may be used in training
        return rotary_tables(torch.arange(length, device=device), head_dim, theta)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x [B, N, L, H] by the tables [..., L, H]: the half-split layout, in float32."""
    x32 = x.float()
    swapped = x32.roll(x.shape[-1] // 2, -1)  # the second half first; the table has the sign
    return (x32 * cos).add_(swapped.mul_(sin)).to(x.dtype)
