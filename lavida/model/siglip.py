"""The SigLIP tower (arXiv 2303.15343): all encoder layers but the last one, without norm and pooling head after them.

The published models read the last but one layer (section 3.1 of arXiv 2505.16839); a checkpoint holds no more. Names of
tensors are those of transformers, and so are the outputs of one view, to the bit where weights are not packed and
attention takes the fused kernel (`nn.attention.attend`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from lavida.config import VisionConfig
from lavida.nn.attention import attend
from lavida.nn.layers import add
from lavida.nn.packed import products, with_gelu


class SiglipAttention(nn.Module):
    """Let each patch see all patches of its view."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.head_dim = width // n_heads
        self.k_proj = nn.Linear(width, width)  # the order is that of transformers, and of an optimizer's state
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [V, n, C] of x [V, n, C]."""
        q, k, v = (
            part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for part in products(x, self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(attend(q, k, v).transpose(1, 2).flatten(2))


class SiglipMLP(nn.Module):
    """Compute fc2(gelu(fc1(x))), with the tanh approximation of GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., C] of x [..., C]."""
        return self.fc2(with_gelu(x, self.fc1))


class SiglipLayer(nn.Module):
    """Compute h = x + attention(norm(x)), then h + mlp(norm(h))."""

    def __init__(self, vision: VisionConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(vision.hidden_size, eps=vision.norm_eps)
        self.self_attn = SiglipAttention(vision.hidden_size, vision.n_heads)
        self.layer_norm2 = nn.LayerNorm(vision.hidden_size, eps=vision.norm_eps)
        self.mlp = SiglipMLP(vision.hidden_size, vision.mlp_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return [V, n, C] of x [V, n, C]."""
        x = add(x, self.self_attn(self.layer_norm1(x)))
        return add(x, self.mlp(self.layer_norm2(x)))


class SiglipEncoder(nn.Module):
    """Apply the layers one after the other."""

    def __init__(self, vision: VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SiglipLayer(vision) for _ in range(vision.n_layers))

    def forward(self, x: Tensor) -> Tensor:
        """Return [V, n, C] of x [V, n, C]."""
        for layer in self.layers:
            x = layer(x)
        return x


class SiglipTower(nn.Module):
    """Encode patches with learned positions by `vision.n_layers` encoder layers."""

    def __init__(self, vision: VisionConfig) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, vision.hidden_size, vision.patch_size, vision.patch_size)
        self.positions = nn.Embedding((vision.image_size // vision.patch_size) ** 2, vision.hidden_size)
        self.encoder = SiglipEncoder(vision)

    def take_form(self, names: Collection[str]) -> None:
        """Do nothing: a SigLIP has no optional parts."""

    def look(self, views: Tensor, first: Sequence[int] = (0,)) -> tuple[Tensor, None]:
        """Return the features of views; there are no class logits."""
        return self(views), None

    def forward(self, views: Tensor) -> Tensor:
        """Return features [V, n, C] of views [V, 3, S, S], cells row by row.

        On a CPU the views are encoded one by one: what the layers make of several is not in its caches.
        """
        x = self.patches(views.to(self.patches.weight.dtype)).flatten(2).transpose(1, 2) + self.positions.weight
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            return torch.cat([self.encoder(view) for view in x.split(1)])
        return self.encoder(x)

    def begin_finetuning(self) -> None:
        """Do nothing: all of the tower is finetuned as it is."""

    def learns(self, name: str) -> bool:
        """Return whether finetuning changes a parameter."""
        return True
