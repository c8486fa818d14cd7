"""Tell how likely a finished answer is right: the probability of its tokens, set right by held-out questions.

The product of the probabilities with which the tokens were committed says how sure the model is of the wording; a
logistic curve fitted to questions whose answers are known makes it the share of right answers. The two numbers of the
curve lie in `confidence.json` of a model's folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F

from lavida.decode.loop import Step
from lavida.errors import CheckpointError

FILE = "confidence.json"
LEAST = 1e-6  # probability below which tokens are not told apart


@dataclass(frozen=True, kw_only=True)
class ConfidenceCurve:
    """Hold sigmoid(slope x + offset), for x = log p of an answer in nats; and what it was fitted to."""

    slope: float
    offset: float
    questions: int  # that it was fitted to
    error: float  # expected calibration error on others, in ten bins

    def __call__(self, log_probability: float) -> float:
        """Return the probability that an answer is right."""
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, self.slope * log_probability + self.offset))))

    def save(self, folder: Path) -> None:
        """Write the file that `load_confidence` reads."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def load_confidence(folder: Path) -> ConfidenceCurve | None:
    """Return the curve of a model, None if its folder has none. Raises CheckpointError for a damaged one."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        curve = ConfidenceCurve(**{f.name: float(found[f.name]) for f in fields(ConfidenceCurve)})  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no confidence curve ({error}); fetch the model again or remove it") from None
    if not all(map(math.isfinite, asdict(curve).values())) or curve.slope < 0:
        raise CheckpointError(f"{path} holds numbers that make no curve; fetch the model again or remove it")
    return curve


def answer_log_probability(step: Step, eos_ids: Sequence[int]) -> float:
    """Sum the log-probabilities with which the tokens of a finished answer, its end included, were committed.

    Args:
        step: The last step; its confidence must be the probability of each token.
        eos_ids: Tokens that end an answer.
    """
    ends = torch.isin(step.canvas, torch.tensor(list(eos_ids), dtype=step.canvas.dtype)).nonzero().flatten()
    length = int(ends[0]) + 1 if len(ends) else len(step.canvas)
    sure = step.confidence[:length].double().clamp(LEAST, 1.0)
    return float(sure.log().sum())


def fit_confidence(log_probabilities: Sequence[float], right: Sequence[bool]) -> tuple[float, float]:
    """Return slope and offset of the logistic curve that gives what is right the largest likelihood.

    The slope is at least 0, and a small penalty keeps both finite where the answers can be told apart without error.
    """
    x = torch.tensor(log_probabilities, dtype=torch.float64)
    y = torch.tensor(right, dtype=torch.float64)
    raw = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        slope, offset = raw[0] ** 2, raw[1]
        value = F.binary_cross_entropy_with_logits(slope * x + offset, y) + 1e-4 * (slope**2 + offset**2)
        value.backward()
        return value

    with torch.inference_mode(False), torch.enable_grad():
        raw.data[0] = 1.0
        optimizer.step(loss)
    return float(raw[0].detach() ** 2), float(raw[1].detach())


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy, over equal-width bins."""
    sure, hits = torch.tensor(confidences, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    which = (sure * bins).long().clamp(max=bins - 1)
    gaps = [float((sure[which == b] - hits[which == b]).sum().abs()) for b in range(bins)]
    return sum(gaps) / max(1, len(sure))
