"""Masked diffusion: schedules, masking, losses. The names here need no PyTorch, so that a command line lists them."""

CURVES = ("linear", "cosine", "shift", "logit_normal")
SCHEDULES = ("even", *CURVES, "timesteps", "ancestral")
DEFAULT_SHIFT = 1 / 3
