"""Training losses at masked positions: cross-entropy (eq. 2 of arXiv 2505.16839) and certainty (arXiv 2509.26488)."""

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


def certainty_loss(logits: Tensor, targets: Tensor, *, temperature: float) -> Tensor:
    """Return the loss (scalar) that makes right predictions certain, as dParallel (arXiv 2509.26488) forces them to be.

    With q_i = softmax(z_i / temperature) of the M masked tokens, and R those whose likeliest token is the target,

        L = (1 / M) sum over i in R of H(q_i),  H(q) = - sum over v of q(v) log q(v)

    Cross-entropy alone lets a token that is right already stay unsure until its neighbours are written. The published
    code divides by the size of R; here M is the divisor, as for the cross-entropy, so that a batch has the same loss
    however it is divided into micro-batches.

    Args:
        logits: [M, V] of the masked positions.
        targets: The true ids [M].
        temperature: Below 1 the entropy is that of a sharper distribution, which leaves sure tokens alone.
    """
    right = logits.argmax(-1) == targets
    log_q = F.log_softmax(logits[right].float() / temperature, -1)
    return -(log_q.exp() * log_q).sum() / max(1, len(targets))


def shift_rows(logits: Tensor) -> Tensor:
    """Move logits [..., L, V] of a model whose row i predicts token i + 1 (Dream) to their own row."""
    return torch.cat((logits[..., :1, :], logits[..., :-1, :]), -2)
