"""Linear layers whose weight is held in 8 or 4 bits and multiplied in the dtype of the input.

A call dequantizes a few rows of the weight at a time, few enough to stay in the processor's cache, and passes them to
the ordinary product. Milliseconds for 4096 -> 12288 in bfloat16, one core of a CPU with AVX512_BF16, torch 2.13:

| rows of the input                       |    1 |   32 | 1000 |
|-----------------------------------------|------|------|------|
| dense bfloat16                          |    9 |   21 |  479 |
| Int8Linear                              |   14 |   29 |  514 |
| torch's _weight_int8pack_mm             |    4 |   50 | 1604 |
| torchao 0.18, Int8WeightOnlyConfig      |   59 |   75 |  577 |
| Int4Linear                              |   36 |   54 |  528 |
| torch's _weight_int4pack_mm_for_cpu     |    3 |   38 | 1167 |
| torchao 0.18, IntxWeightOnlyConfig int4 |  190 |  201 |  647 |

A canvas has tens of rows and a prompt a thousand. torch's kernels are made for one row and torchao dequantizes the
whole weight; both lose, or win little, on the shapes of a diffusion model. This runs on every device that torch does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.errors import ConfigError

_CACHED = 1 << 20  # elements of the weight dequantized at once on a CPU
_PACKED = 1 << 18  # elements packed at once
_GROUP = 128  # neighbouring weights of a row that share one scale in 4 bits


class QuantLinear(nn.Module):
    """Compute y = x W^T + b with W packed and not trained; gradients pass to x. Subclasses dequantize rows of W."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: nn.Parameter | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        for name, tensor in self.pack(weight).items():
            self.register_buffer(name, tensor)
        self.bias = bias

    @classmethod
    @torch.no_grad()
    def pack(cls, weight: Tensor) -> dict[str, Tensor]:
        """Return the buffers that represent a weight [out, in]; "weight" is the largest of them."""
        if weight.is_meta:  # one row gives the shapes; arithmetic on the meta device imports for a second
            row = cls._pack(torch.zeros(1, weight.shape[1]), weight.dtype)
            return {name: t.new_empty(len(weight), *t.shape[1:], device="meta") for name, t in row.items()}
        # A few rows at a time, or the float32 that rounding needs would be the peak of loading a model.
        count, packed = max(1, _PACKED // weight.shape[1]), {}
        for start in range(0, len(weight), count):
            rows = weight[start : start + count]
            for name, piece in cls._pack(rows.float(), weight.dtype).items():
                if name not in packed:
                    packed[name] = piece.new_empty(len(weight), *piece.shape[1:])
                packed[name][start : start + count] = piece
        return packed

    @staticmethod
    def _pack(rows: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the buffers of rows [n, in] given in float32, with scales in `dtype`."""
        raise TypeError("use a subclass")

    def _dequantize(self, where: slice, rows: Tensor) -> Tensor:
        """Return the rows `where` of W, written into `rows` [n, in]."""
        raise TypeError("use a subclass")

    def _product(self, x: Tensor, where: slice, rows: Tensor) -> Tensor:
        """Return x times the rows `where` of W, dequantized into the scratch `rows` [n, in]."""
        return F.linear(x, self._dequantize(where, rows))

    def _pieces(self, like: Tensor, rows: range) -> Iterator[tuple[slice, Tensor]]:
        """Yield the slices of `rows` to dequantize at a time, with scratch for each in the dtype of `like`."""
        count = min(len(rows), max(1, _CACHED // self.in_features) if like.device.type == "cpu" else self.out_features)
        scratch = like.new_empty(count, self.in_features)
        for start in rows[:: max(1, count)]:
            where = slice(start, min(start + count, rows.stop))
            yield where, scratch[: where.stop - start]

    def multiply(self, x: Tensor, part: slice | None = None) -> Tensor:
        """Return x W^T, or the product with a part of the rows of W, without gradients."""
        rows = range(self.out_features)[part or slice(None)]
        y = x.new_empty(*x.shape[:-1], len(rows))
        for where, scratch in self._pieces(x, rows):
            y[..., where.start - rows.start : where.stop - rows.start] = self._product(x, where, scratch)
        return y

    def multiply_back(self, dy: Tensor) -> Tensor:
        """Return dy W, the gradient of x."""
        dx = dy.new_zeros(*dy.shape[:-1], self.in_features)
        for where, scratch in self._pieces(dy, range(self.out_features)):
            dx += dy[..., where] @ self._dequantize(where, scratch)
        return dx

    def forward(self, x: Tensor) -> Tensor:
        """Return y [..., out] of x [..., in]."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        y = _Product.apply(x, self) if torch.is_grad_enabled() and x.requires_grad else self.multiply(x)
        return y if self.bias is None else y + self.bias


class _Product(torch.autograd.Function):
    """Dequantize W again in the backward pass rather than keep it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantLinear) -> Tensor:
        ctx.layer = layer
        return layer.multiply(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return ctx.layer.multiply_back(dy), None


class Int8Linear(QuantLinear):
    """Hold one scale for each output channel, symmetric: W = scale * weight, weight in -127..127."""

    @staticmethod
    def _pack(rows: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        # The scale is rounded to the model's dtype before it is used, so that its rounding costs no exactness.
        scale = _positive(rows.abs().amax(1) / 127, dtype)
        return {"weight": (rows / scale.float()[:, None]).round_().clamp_(-127, 127).to(torch.int8), "scale": scale}

    def _dequantize(self, where: slice, rows: Tensor) -> Tensor:
        return rows.copy_(self.weight[where]).mul_(self.scale[where].to(rows.dtype)[:, None])

    def _product(self, x: Tensor, where: slice, rows: Tensor) -> Tensor:
        # The codes are exact in any dtype: the scale comes last.
        return F.linear(x, rows.copy_(self.weight[where])) * self.scale[where].to(x.dtype)


class Int4Linear(QuantLinear):
    """Hold a scale and an offset for each group of neighbouring weights: W = scale * code + low, code in 0..15.

    Low nibbles of `weight` [out, in / 2] hold the first half of a row, high nibbles the second. A group has 128
    weights, or as many of them as divide half a row. Raises ConfigError for rows of odd length.
    """

    low: Tensor

    @staticmethod
    def _pack(rows: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        width = rows.shape[1]
        if width % 2:
            raise ConfigError(f"a layer of {width} inputs cannot be held in 4 bits, two to a byte; take int8")
        groups = rows.unflatten(1, (-1, math.gcd(width // 2, _GROUP)))  # [rows, groups, group]
        low = groups.amin(-1, keepdim=True).to(dtype)
        scale = _positive((groups.amax(-1, keepdim=True) - low.float()) / 15, dtype)
        codes = (groups - low.float()).div_(scale.float()).round_().clamp_(0, 15).to(torch.uint8).flatten(1)
        return {"weight": codes[:, : width // 2] | codes[:, width // 2 :] << 4, "scale": scale, "low": low}

    def _dequantize(self, where: slice, rows: Tensor) -> Tensor:
        packed, half = self.weight[where], self.in_features // 2
        rows[:, :half], rows[:, half:] = packed & 15, packed >> 4
        groups = rows.unflatten(1, (self.scale.shape[1], -1))  # a view
        groups.mul_(self.scale[where].to(rows.dtype)).add_(self.low[where].to(rows.dtype))
        return rows


def replace_linears(module: nn.Module, kind: type[QuantLinear]) -> set[str]:
    """Replace every linear layer below `module` by `kind`; return the names of the layers, relative to it."""
    names = {name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    for name in names:
        layer = module.get_submodule(name)
        if isinstance(layer, nn.Linear):
            module.set_submodule(name, kind(layer.weight, layer.bias))
    return names


def _positive(scale: Tensor, dtype: torch.dtype) -> Tensor:
    return scale.to(dtype).clamp_min(torch.finfo(dtype).tiny)  # rows of zeros have no scale of their own
