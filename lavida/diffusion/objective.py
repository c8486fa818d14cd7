"""The objective of a training step as data: each ingredient of the papers is one field."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from lavida.diffusion.loss import WEIGHTINGS
from lavida.diffusion.masking import EPS
from lavida.errors import ConfigError

ATTENTION = ("full", "prefix", "turns", "causal")
MASKING = ("random", "trajectory")
_FEW_STEPS = ("masking", "blank", "certainty", "certainty_temperature")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Describe masked diffusion (arXiv 2505.16839, section 3.2) or, for the baseline, next-token prediction.

    `attention` is "full" (both papers), "prefix" (the Prefix-DLM mask: a prompt does not attend to the answer), "turns"
    (a turn attends to itself and those before it: LLaDA-V's ablation) or "causal".

    `masking` "trajectory" masks what was open at a moment of the model's own decoding (arXiv 2509.26488), in each of an
    answer's two copies at a moment of its own: the first one, when all is masked, for a share `blank` of the copies.
    """

    complementary: bool = True  # an answer's two copies have complementary masks; otherwise independent ones
    weighting: str = "mean"  # over masked tokens (the official code), or "1/t" (the bound on the likelihood, eq. 2)
    attention: str = "full"
    autoregressive: bool = False  # next-token loss instead of the forward process; needs "causal"
    eps: float = EPS  # smallest masking probability
    masking: str = "random"  # the forward process, or "trajectory", for which samples hold the model's own answers
    blank: float = 0.5  # share of copies that are masked wholly, under "trajectory"
    certainty: float = 0.0  # weight of the entropy of right predictions (`loss.certainty_loss`); 0 = off
    certainty_temperature: float = 0.5  # of the distributions whose entropy it is

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise ConfigError(f"unknown loss weighting {self.weighting!r}; choose one of {', '.join(WEIGHTINGS)}")
        if self.attention not in ATTENTION:
            raise ConfigError(f"unknown attention {self.attention!r}; choose one of {', '.join(ATTENTION)}")
        if self.autoregressive != (self.attention == "causal"):
            raise ConfigError("next-token training needs causal attention and diffusion needs any other")
        if not 0 < self.eps < 1:
            raise ConfigError(f"eps must lie between 0 and 1, got {self.eps}")
        self._check_few_steps()

    def _check_few_steps(self) -> None:
        if self.masking not in MASKING:
            raise ConfigError(f"unknown masking {self.masking!r}; choose one of {', '.join(MASKING)}")
        if not 0 <= self.blank <= 1:
            raise ConfigError(f"blank is a share, 0 to 1, got {self.blank}")
        if not 0 <= self.certainty < math.inf:
            raise ConfigError(f"certainty is a weight of at least 0, got {self.certainty}")
        if not 0 < self.certainty_temperature <= 1:
            raise ConfigError(f"certainty_temperature must be above 0 and at most 1, got {self.certainty_temperature}")
        if self.masking == "trajectory" and self.complementary:
            raise ConfigError(
                "complementary masks follow no trajectory; set one of complementary and masking otherwise"
            )
        mean_of_diffusion = self.weighting == "mean" and not self.autoregressive
        if not mean_of_diffusion and (self.certainty or self.masking != "random"):
            raise ConfigError('certainty and masking "trajectory" go with masked diffusion and weighting "mean" only')

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a run keeps them; those of few steps only if they are used, as older runs lack them."""
        fields = asdict(self)
        used = {"masking", "blank"} if self.masking != "random" else set()
        used |= {"certainty", "certainty_temperature"} if self.certainty else set()
        return {name: value for name, value in fields.items() if name not in _FEW_STEPS or name in used}
