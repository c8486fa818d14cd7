"""The SigLIP tower, by transformers' own layers: all but the last one, without norm and pooling head after them.

The published models read the last but one layer (section 3.1 of arXiv 2505.16839); a checkpoint holds no more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor, nn

from lavida.config import VisionConfig


class SiglipTower(nn.Module):
    """Encode patches with learned positions by `vision.n_layers` encoder layers."""

    def __init__(self, vision: VisionConfig) -> None:
        super().__init__()
        from transformers import SiglipVisionConfig, SiglipVisionModel  # slow to import, and lavida-mini needs it not

        model = SiglipVisionModel(
            SiglipVisionConfig(
                hidden_size=vision.hidden_size,
                intermediate_size=vision.mlp_size,
                num_hidden_layers=vision.n_layers,
                num_attention_heads=vision.n_heads,
                image_size=vision.image_size,
                patch_size=vision.patch_size,
                layer_norm_eps=vision.norm_eps,
                hidden_act="gelu_pytorch_tanh",
                vision_use_head=False,
            )
        )
        model = getattr(model, "vision_model", model)  # one level deeper before transformers 5
        self.patches = model.embeddings.patch_embedding
        self.positions = model.embeddings.position_embedding
        self.encoder = model.encoder

    def take_form(self, names: Collection[str]) -> None:
        """Do nothing: a SigLIP has no optional parts."""

    def look(self, views: Tensor, first: Sequence[int] = (0,)) -> tuple[Tensor, None]:
        """Return the features of views; there are no class logits."""
        return self(views), None

    def forward(self, views: Tensor) -> Tensor:
        """Return features [V, n, C] of views [V, 3, S, S], cells row by row."""
        x = self.patches(views.to(self.patches.weight.dtype)).flatten(2).transpose(1, 2)
        return self.encoder(inputs_embeds=x + self.positions.weight).last_hidden_state

    def begin_finetuning(self) -> None:
        """Do nothing: all of the tower is finetuned as it is."""

    def learns(self, name: str) -> bool:
        """Return whether finetuning changes a parameter."""
        return True
