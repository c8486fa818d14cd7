"""The objective of a training step as data: each ingredient of the papers is one field."""

from __future__ import annotations

from dataclasses import dataclass

from lavida.diffusion.loss import WEIGHTINGS
from lavida.diffusion.masking import EPS
from lavida.errors import ConfigError

ATTENTION = ("full", "prefix", "turns", "causal")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Describe masked diffusion (arXiv 2505.16839, section 3.2) or, for the baseline, next-token prediction.

    `attention` is "full" (both papers), "prefix" (the Prefix-DLM mask: a prompt does not attend to the answer), "turns"
    (a turn attends to itself and those before it: LLaDA-V's ablation) or "causal".
    """

    complementary: bool = True  # an answer's two copies have complementary masks; otherwise independent ones
    weighting: str = "mean"  # over masked tokens (the official code), or "1/t" (the bound on the likelihood, eq. 2)
    attention: str = "full"
    autoregressive: bool = False  # next-token loss instead of the forward process; needs "causal"
    eps: float = EPS  # smallest masking probability

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise ConfigError(f"unknown loss weighting {self.weighting!r}; choose one of {', '.join(WEIGHTINGS)}")
        if self.attention not in ATTENTION:
            raise ConfigError(f"unknown attention {self.attention!r}; choose one of {', '.join(ATTENTION)}")
        if self.autoregressive != (self.attention == "causal"):
            raise ConfigError("next-token training needs causal attention and diffusion needs any other")
        if not 0 < self.eps < 1:
            raise ConfigError(f"eps must lie between 0 and 1, got {self.eps}")
