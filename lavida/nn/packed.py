"""Linear layers on CPUs whose weights are stored in the order in which oneDNN reads them.

An ordinary product brings its weight into that order at each call, which costs as much as the arithmetic where the
input has few rows, as a canvas does. PyTorch's own compiler packs weights once by the same two operators when it
freezes a model (`torch._inductor.fx_passes.mkldnn_fusion`). Microseconds of a product on one core with AVX512_BF16,
torch 2.13, plain and packed; `python -m benchmarks.products` measures those of a model:

| rows, in, out   | float32      | bfloat16   |
|-----------------|--------------|------------|
| 16, 384, 1024   | 167 -> 128   | 103 -> 80  |
| 16, 384, 11968  | 3890 -> 1870 | 1481 -> 705 |
| 32, 1024, 4096  | 3480 -> 1390 | 1020 -> 770 |

In bfloat16 the products are the same to the bit; in float32 oneDNN adds in another order than MKL, which changes them
by some 1e-6 of their size. Rows are filled up to one of few numbers (`padded_rows`) where many numbers occur. A packed
weight takes the memory of the plain one and is turned back into it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = 1 << 16  # elements; smaller weights stay in the processor's cache as they are
PIECE = 1 << 14  # rows of a vocabulary that are packed together
_DTYPES = (torch.float32, torch.bfloat16)
_UNITS = ((64, 8), (128, 16), (512, 32), (1024, 64))  # (rows, up to these the number is rounded up to this)
_BOUND = 1e-5  # by which a packed product in float32 may differ from the plain one, as a share of the largest value


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Return whether this processor and this PyTorch multiply by packed weights of a type, and correctly; tried once.

    Correct means equal to the plain product to the bit in bfloat16 and up to _BOUND in float32.
    """
    if dtype not in _DTYPES or not torch.backends.mkldnn.is_available():
        return False
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.inference_mode(False), torch.no_grad():
            spread = torch.linspace(-1, 1, 96 * 128, dtype=torch.float64).mul(1000).sin()
            weight = spread.view(96, 128).to(dtype)
            x = spread[: 5 * 128].roll(7).view(5, 128).to(dtype)
            packed = _pack(weight)
            found, wanted = _multiply(x, packed, None), F.linear(x, weight)
            bound = 0.0 if dtype == torch.bfloat16 else _BOUND * float(wanted.abs().max())
            bent, wanted_bent = _multiply(x, packed, None, gelu=True), F.gelu(wanted, approximate="tanh")
            return (
                torch.equal(packed.to_dense(), weight)
                and float((found - wanted).abs().max()) <= bound
                and torch.allclose(bent.float(), wanted_bent.float(), rtol=2**-6, atol=2**-6)
            )
    except (AttributeError, RuntimeError):  # the operators are not in this PyTorch, or not for this processor
        return False


def _pack(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None, *, gelu: bool = False) -> Tensor:
    after, form = ("gelu", "tanh") if gelu else ("none", "")
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, after, [], form)


def padded_rows(count: int) -> int:
    """Return the number of rows that a packed product is made of: few numbers occur.

    oneDNN compiles a kernel of half a megabyte for each number of rows and shape of weight, and keeps a thousand.
    """
    if count <= 4:
        return 4 if count == 3 else count
    unit = next((unit for most, unit in _UNITS if count <= most), 128)
    return -(-count // unit) * unit


class Product:
    """Multiply by the weights of one or several linear layers, stacked row by row and packed.

    The weights are given one after the other (`take`) and are packed when the last one is there.

    Args:
        sizes: Rows of each layer's weight.
        biased: Whether the layers have biases.
        fill: Whether rows are filled up to one of few numbers; not in a tower, whose views have one number of patches.
    """

    def __init__(self, sizes: Sequence[int], *, biased: bool = False, fill: bool = True) -> None:
        self.sizes, self.biased, self.fill = tuple(sizes), biased, fill
        self.bias: Tensor | None = None  # [sum of sizes]
        self.held: Tensor | None = None  # all rows, packed where that is possible
        self._waiting: dict[tuple[str, int], Tensor] = {}

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the weights."""
        assert self.held is not None, "a weight is missing"
        return self.held.dtype

    def take(self, leaf: str, index: int, tensor: Tensor) -> None:
        """Take the "weight" or the "bias" of a layer; if all were taken already, replace it."""
        if self.held is not None and not self._waiting:
            for number in range(len(self.sizes)):
                self._waiting.update({(name, number): part for name, part in self.part(number).items()})
        self._waiting[leaf, index] = tensor.detach()
        if len(self._waiting) == len(self.sizes) * (1 + self.biased):
            waiting, self._waiting = self._waiting, {}
            weight, *bias = (
                torch.cat([waiting.pop((name, i)) for i in range(len(self.sizes))])
                for name in ("weight", "bias")[: 1 + self.biased]
            )
            self._hold(weight, bias[0] if bias else None)

    def _hold(self, weight: Tensor, bias: Tensor | None) -> None:
        with torch.inference_mode(False):
            packable = weight.device.type == "cpu" and can_pack(weight.dtype)
            self.held, self.bias = _pack(weight) if packable else weight.clone(), bias

    def dense(self) -> Tensor:
        """Return all rows of the weight in their usual order, as a copy."""
        assert self.held is not None, "a weight is missing"
        with torch.inference_mode(False):
            return self.held.to_dense() if self.held.is_mkldnn else self.held.clone()

    def part(self, index: int) -> dict[str, Tensor]:
        """Return "weight" and "bias" of a layer."""
        start = sum(self.sizes[:index])
        rows = slice(start, start + self.sizes[index])
        found = {"weight": self.dense()[rows]}
        return found if self.bias is None else {**found, "bias": self.bias[rows]}

    def __call__(self, x: Tensor, *, gelu: bool = False) -> Tensor:
        """Return y = x W^T + b [..., sum of sizes], or gelu(y); gradients pass to x, none to the weights."""
        held = self.held
        assert held is not None, "a weight is missing"
        if not held.is_mkldnn or x.dtype != held.dtype or (x.requires_grad and torch.is_grad_enabled()):
            y = F.linear(x, self.dense() if held.is_mkldnn else held, self.bias)
            return F.gelu(y, approximate="tanh") if gelu else y
        rows = x.shape[:-1].numel()
        filler = padded_rows(rows) - rows if self.fill else 0
        if not filler:
            return _multiply(x, held, self.bias, gelu=gelu)
        filled = F.pad(x.reshape(rows, x.shape[-1]), (0, 0, 0, filler))
        return _multiply(filled, held, self.bias, gelu=gelu)[:rows].view(*x.shape[:-1], -1)

    def apply(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Change the tensors by `fn`, as `nn.Module._apply` does; packed again where that is possible."""
        if self.held is not None:
            self._hold(fn(self.dense()), None if self.bias is None else fn(self.bias))

    def __deepcopy__(self, memo: dict[int, Any]) -> Product:
        twin = memo[id(self)] = Product(self.sizes, biased=self.biased, fill=self.fill)
        if self.held is not None:
            twin._hold(self.dense(), None if self.bias is None else self.bias.clone())
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        dense = None if self.held is None else self.dense()
        return _restored, (self.sizes, self.biased, self.fill, dense, self.bias)


def _restored(sizes: tuple[int, ...], biased: bool, fill: bool, weight: Tensor | None, bias: Tensor | None) -> Product:
    product = Product(sizes, biased=biased, fill=fill)
    if weight is not None:
        product._hold(weight, bias)
    return product


class PackedLinear(nn.Module):
    """Stand in for a linear layer that is one of those of a `Product`; for inference.

    Its state is that of the layer: a dense "weight" and "bias" are saved and loaded.
    """

    def __init__(self, product: Product, index: int, in_features: int) -> None:
        super().__init__()
        self.product, self.index = product, index
        self.in_features, self.out_features = in_features, product.sizes[index]

    @property
    def weight(self) -> Tensor:
        """Return the weight [out, in], a copy; it is no parameter."""
        return self.product.part(self.index)["weight"]

    @property
    def bias(self) -> Tensor | None:
        """Return the bias [out]."""
        return self.product.part(self.index).get("bias")

    def forward(self, x: Tensor) -> Tensor:
        """Return y [..., out] of x [..., in]."""
        y = self.product(x)
        return y if len(self.product.sizes) == 1 else y.split(self.product.sizes, -1)[self.index]

    def unpacked(self) -> nn.Linear:
        """Return an ordinary layer with the same weight, which can be trained."""
        return linear_of(**self.product.part(self.index))

    def take(self, leaf: str, tensor: Tensor) -> None:
        """Take the layer's "weight" or "bias"."""
        self.product.take(leaf, self.index, tensor)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedLinear:
        if self.index == 0:  # once for all layers of the product
            self.product.apply(fn)
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        if self.product.held is not None:
            destination.update({prefix + leaf: tensor for leaf, tensor in self.product.part(self.index).items()})

    def _load_from_state_dict(
        self, state: dict[str, Any], prefix: str, _metadata: Any, _strict: bool, missing: list[str], *_: Any
    ) -> None:
        for leaf in ("weight", "bias")[: 1 + self.product.biased]:
            if prefix + leaf in state:
                self.take(leaf, state[prefix + leaf])
            elif self.product.held is None:
                missing.append(prefix + leaf)


class PackedHead(nn.Module):
    """Multiply by the rows of a vocabulary in packed pieces of PIECE rows, all of them or some.

    With `tied` the rows are those of the embedding, and no part of the state.
    """

    def __init__(self, vocab_size: int, *, tied: bool) -> None:
        super().__init__()
        self.vocab_size, self.tied = vocab_size, tied
        self.pieces = [Product([min(PIECE, vocab_size - start)]) for start in range(0, vocab_size, PIECE)]

    def take(self, leaf: str, tensor: Tensor) -> None:
        """Take the weight [V, D]."""
        for piece, rows in zip(self.pieces, tensor.split(PIECE), strict=True):
            piece.take(leaf, 0, rows)

    @property
    def weight(self) -> Tensor:
        """Return the weight [V, D], a copy; it is no parameter."""
        return torch.cat([piece.dense() for piece in self.pieces])

    def forward(self, x: Tensor, part: slice | None = None) -> Tensor:
        """Return logits [..., V] of x [..., D], or those of a part; fastest where it is made of whole pieces."""
        start, stop, _ = (part or slice(None)).indices(self.vocab_size)
        first = start // PIECE
        found = [piece(x) for piece in self.pieces[first : -(-stop // PIECE)]]
        logits = found[0] if len(found) == 1 else torch.cat(found, -1)
        start, stop = start - first * PIECE, stop - first * PIECE
        return logits if (start, stop) == (0, logits.shape[-1]) else logits[..., start:stop]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedHead:
        for piece in self.pieces:
            piece.apply(fn)
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        if not self.tied and self.pieces[0].held is not None:
            destination[prefix + "weight"] = self.weight

    def _load_from_state_dict(
        self, state: dict[str, Any], prefix: str, _metadata: Any, _strict: bool, missing: list[str], *_: Any
    ) -> None:
        if prefix + "weight" in state:
            self.take("weight", state[prefix + "weight"])
        elif not self.tied and self.pieces[0].held is None:
            missing.append(prefix + "weight")


class StoredTable(nn.Module):
    """Look embeddings up in a table that is kept as its file stores it, in half precision, and mapped from there.

    It stands beside a `PackedHead` that multiplies by the same rows in float32: so the two take no more memory than one
    table in float32. Its state is the table in `dtype`, in which it answers.
    """

    def __init__(self, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.dtype, self.table = dtype, torch.empty(0)

    @property
    def weight(self) -> Tensor:
        """Return the table [V, D], a copy where its type is another; it is no parameter."""
        return self.table if self.dtype is None else self.table.to(self.dtype)

    def forward(self, ids: Tensor) -> Tensor:
        """Return embeddings [..., D] of ids [...]."""
        found = F.embedding(ids, self.table)
        return found if self.dtype is None else found.to(self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StoredTable:
        self.table = fn(self.weight)
        self.dtype = self.table.dtype
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.weight

    def _load_from_state_dict(
        self, state: dict[str, Any], prefix: str, _metadata: Any, _strict: bool, missing: list[str], *_: Any
    ) -> None:
        if prefix + "weight" in state:
            self.table = state[prefix + "weight"].detach()
        else:
            missing.append(prefix + "weight")


def linear_of(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Return a linear layer with these weights."""
    rows, columns = weight.shape
    layer = nn.Linear(columns, rows, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


def together(layers: Iterable[nn.Linear], *, fill: bool = True) -> list[PackedLinear]:
    """Return stand-ins without weights for layers that read the same input, to be multiplied in one product."""
    layers = list(layers)
    product = Product([layer.out_features for layer in layers], biased=layers[0].bias is not None, fill=fill)
    return [PackedLinear(product, i, layer.in_features) for i, layer in enumerate(layers)]


def product_of(*layers: nn.Module) -> Product | None:
    """Return the product that computes all these layers, one after the other, if they are packed together."""
    first = layers[0]
    return first.product if isinstance(first, PackedLinear) and len(first.product.sizes) == len(layers) > 1 else None


def products(x: Tensor, *layers: nn.Module) -> Sequence[Tensor]:
    """Return what each layer makes of x; packed together they are one product."""
    joint = product_of(*layers)
    return [layer(x) for layer in layers] if joint is None else joint(x).split(joint.sizes, -1)


def with_gelu(x: Tensor, layer: nn.Module) -> Tensor:
    """Return the tanh approximation of GELU of what a layer makes of x, in one operation where the layer is packed.

    Then in bfloat16 it is computed from the sum before that is rounded.
    """
    if isinstance(layer, PackedLinear) and len(layer.product.sizes) == 1:
        return layer.product(x, gelu=True)
    return F.gelu(layer(x), approximate="tanh")
