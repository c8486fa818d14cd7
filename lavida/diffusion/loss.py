"""The training loss: cross-entropy at masked positions (eq. 2 of arXiv 2505.16839)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.errors import ConfigError

WEIGHTINGS = ("mean", "1/t")


def masked_loss(
    logits: Tensor,
    targets: Tensor,
    masked: Tensor,
    *,
    weighting: str = "mean",
    p: Tensor | None = None,
    lengths: Tensor | None = None,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the loss (scalar) and the per-token cross-entropy [B, L], 0 where nothing is masked.

    Args:
        logits: [B, L, V], each row predicting the token at its own position; or [M, V] of the M masked positions only,
            row by row, which spares the head the rest.
        targets: The true ids [B, L].
        masked: The positions to predict [B, L].
        weighting: "mean", as the published models were trained: sum(w CE) / sum(w) over masked tokens. "1/t", the bound
            on the likelihood: mean over rows of sum(w CE) / (p * answer length).
        p: The masking probability [B], for "1/t".
        lengths: The number of answer tokens [B], for "1/t".
        weights: w [B, L], 1 by default.

    Raises:
        ConfigError: The weighting is unknown or lacks its arguments.
    """
    ce = torch.zeros(targets.shape, device=logits.device)
    rows = logits[masked] if logits.dim() == 3 else logits
    ce = ce.masked_scatter(masked, F.cross_entropy(rows.float(), targets[masked], reduction="none"))
    w = masked.float() if weights is None else weights.float() * masked
    if weighting == "mean":
        return (w * ce).sum() / w.sum().clamp(min=torch.finfo(w.dtype).tiny), ce
    if weighting == "1/t":
        if p is None or lengths is None:
            raise ConfigError('loss weighting "1/t" needs the masking probabilities p and the answer lengths')
        return ((w * ce).sum(-1) / (p * lengths.clamp(min=1))).mean(), ce
    raise ConfigError(f"unknown loss weighting {weighting!r}; choose one of {', '.join(WEIGHTINGS)}")


def shift_rows(logits: Tensor) -> Tensor:
    """Move logits [..., L, V] of a model whose row i predicts token i + 1 (Dream) to their own row."""
    return torch.cat((logits[..., :1, :], logits[..., :-1, :]), -2)
