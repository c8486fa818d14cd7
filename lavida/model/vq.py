"""The image tokenizer of MMaDA: a convolutional autoencoder whose latent is one code for 16 x 16 pixels (MAGVIT-v2).

The code of a cell is the signs of its latent channels, the first channel the most significant bit (lookup-free
quantization, arXiv 2310.05737). Modules are named as the published tensors are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.errors import ConfigError, RequestError

GROUPS = 32  # of each normalisation; every number of channels is a multiple
_EPS = 1e-6
_MAX_LEVELS, _MAX_BLOCKS, _MAX_CHANNELS, _MAX_BITS = 8, 64, 1 << 14, 24


@dataclass(frozen=True, kw_only=True)
class HalfConfig:
    """Configure an encoder or a decoder; the first level has the highest resolution."""

    channels: int = 128
    factors: tuple[int, ...] = (1, 2, 2, 4, 4)  # of `channels`, at each level
    blocks: tuple[int, ...] = (4, 3, 4, 3, 4)  # residual blocks at each level

    def __post_init__(self) -> None:
        levels = len(self.factors)
        sizes = (*self.factors, *self.blocks)
        ok = 1 <= levels <= _MAX_LEVELS and len(self.blocks) == levels and all(1 <= n <= _MAX_BLOCKS for n in sizes)
        if not ok or not 1 <= self.channels <= _MAX_CHANNELS or self.channels % GROUPS:
            raise ConfigError(
                f"an image tokenizer has 1 to {_MAX_LEVELS} levels, each with a channel factor and a number of blocks, "
                f"and channels in multiples of {GROUPS}; got {self.channels} channels, {self.factors} and {self.blocks}"
            )

    def widths(self) -> list[int]:
        """Return the channels of each level."""
        return [self.channels * factor for factor in self.factors]


@dataclass(frozen=True, kw_only=True)
class VQConfig:
    """Configure the image tokenizer; the defaults are the published sizes."""

    encoder: HalfConfig = field(default_factory=HalfConfig)
    decoder: HalfConfig = field(default_factory=lambda: HalfConfig(factors=(1, 1, 2, 2, 4), blocks=(4, 4, 3, 4, 3)))
    bits: int = 13

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= _MAX_BITS:
            raise ConfigError(f"the codes of an image tokenizer have 1 to {_MAX_BITS} bits, got {self.bits}")
        if len(self.encoder.factors) != len(self.decoder.factors):
            raise ConfigError("encoder and decoder of an image tokenizer must have as many levels")

    @property
    def cell(self) -> int:
        """Return the side of a cell, which one code stands for, in pixels."""
        return 1 << (len(self.encoder.factors) - 1)

    @property
    def codes(self) -> int:
        """Return the number of codes."""
        return 1 << self.bits


class ImageTokenizer(nn.Module):
    """Turn pictures [B, 3, H, W] into codes [B, H / 16 * W / 16], row by row, and back."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.bits)
        self.decoder = Decoder(config.decoder, config.bits)

    def latent(self, pixels: Tensor) -> Tensor:
        """Compute the latent [B, bits, h, w] whose signs are the codes, from pixels [B, 3, H, W] in -1..1.

        Raises:
            RequestError: A side is no multiple of the side of a cell.
        """
        cell = self.config.cell
        if pixels.shape[-1] % cell or pixels.shape[-2] % cell:
            raise RequestError(
                f"an image tokenizer reads sides in multiples of {cell}, got {pixels.shape[-1]} x {pixels.shape[-2]}"
            )
        return self.encoder(pixels)

    def encode(self, pixels: Tensor) -> Tensor:
        """Compute the codes [B, h * w] of pixels [B, 3, H, W] in -1..1; errors as in `latent`."""
        bits = (self.latent(pixels) > 0).flatten(2).long()  # a latent of zero counts as negative
        weights = 2 ** torch.arange(self.config.bits - 1, -1, -1, device=bits.device)
        return (bits * weights[:, None]).sum(1)

    def decode(self, codes: Tensor, shape: tuple[int, int] | None = None) -> Tensor:
        """Compute pixels [B, 3, H, W], about -1..1, of codes [B, h * w]; `shape` (h, w) is square by default.

        Raises:
            RequestError: The codes do not fill the shape, or are out of range.
        """
        count = codes.shape[-1]
        rows, columns = shape or (round(count**0.5), round(count**0.5))
        if rows * columns != count:
            raise RequestError(f"{count} codes do not fill {rows} rows of {columns}; give the shape of the picture")
        if count and not (0 <= int(codes.min()) and int(codes.max()) < self.config.codes):
            raise RequestError(f"a code lies outside 0 to {self.config.codes - 1}")
        shifts = torch.arange(self.config.bits - 1, -1, -1, device=codes.device)
        signs = (codes[:, None] >> shifts[:, None] & 1) * 2 - 1
        weight = self.decoder.conv_in.weight
        return self.decoder(signs.to(weight.dtype).unflatten(-1, (rows, columns)))


class Encoder(nn.Module):
    """Halve the resolution at each level but the last."""

    def __init__(self, config: HalfConfig, bits: int) -> None:
        super().__init__()
        widths = config.widths()
        self.conv_in = nn.Conv2d(3, config.channels, 3, padding=1)
        inputs = [config.channels, *widths]
        last = len(widths) - 1
        self.down = nn.ModuleList(
            Level(inputs[i], width, config.blocks[i], down=i < last) for i, width in enumerate(widths)
        )
        self.mid = Middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], bits, 3, padding=1)
        self.quant_conv = nn.Conv2d(bits, bits, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, bits, h, w] for pixels [B, 3, H, W]."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.quant_conv(self.conv_out(F.silu(self.norm_out(self.mid(x)))))


class Decoder(nn.Module):
    """Double the resolution at each level but the first, which comes last."""

    def __init__(self, config: HalfConfig, bits: int) -> None:
        super().__init__()
        widths = config.widths()
        self.post_quant_conv = nn.Conv2d(bits, bits, 1)
        self.conv_in = nn.Conv2d(bits, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        inputs = [*widths[1:], widths[-1]]
        self.up = nn.ModuleList(Level(inputs[i], width, config.blocks[i], up=i > 0) for i, width in enumerate(widths))
        self.norm_out = _norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return pixels [B, 3, H, W] for signs [B, bits, h, w]."""
        x = self.mid(self.conv_in(self.post_quant_conv(x)))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Level(nn.Module):
    """Apply residual blocks, then change the resolution where it is to be."""

    def __init__(self, inputs: int, width: int, blocks: int, *, down: bool = False, up: bool = False) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(width if i else inputs, width) for i in range(blocks))
        self.downsample = Downsample(width) if down else None
        self.upsample = Upsample(width) if up else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width, h', w'] for x [B, inputs, h, w]."""
        for block in self.block:
            x = block(x)
        if self.downsample is not None:
            return self.downsample(x)
        return x if self.upsample is None else self.upsample(x)


class Downsample(nn.Module):
    """Halve the resolution; the picture is padded on the right and below only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h / 2, w / 2] for x [B, C, h, w]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the resolution by repeating each cell, then smooth it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, 2 h, 2 w] for x [B, C, h, w]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    """Attend over all cells at the lowest resolution, between two residual blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels)
        self.attn_1 = CellAttention(channels)
        self.block_2 = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h, w] for x of that shape."""
        return self.block_2(self.attn_1(self.block_1(x)))


class ResidualBlock(nn.Module):
    """Add two normalised convolutions to the input."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, width, 3, padding=1)
        self.norm2, self.conv2 = _norm(width), nn.Conv2d(width, width, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(inputs, width, 1) if inputs != width else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width, h, w] for x [B, inputs, h, w]."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class CellAttention(nn.Module):
    """Let each cell attend to all others, with one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h, w] for x of that shape."""
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))  # [B, h * w, C]
        found = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(found.transpose(1, 2).unflatten(-1, x.shape[-2:]))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=_EPS)
