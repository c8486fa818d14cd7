"""Masked diffusion: schedules, masking, losses. These names need no PyTorch, so that a command line can list them."""

CURVES = ("linear", "cosine", "shift", "logit_normal")
SCHEDULES = ("even", *CURVES, "timesteps", "ancestral")
DEFAULT_SHIFT = 1 / 3
