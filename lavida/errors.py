"""The one family of errors that a user can cause; the command line shows each as a single line."""

from __future__ import annotations


class LavidaError(Exception):
    """A mistake of the user, told in one line: what is wrong and how to mend it."""


class ConfigError(LavidaError):
    """A configuration field is missing, unknown or out of range."""


class CheckpointError(LavidaError):
    """A checkpoint cannot be found, read or matched to the model."""


class ImageError(LavidaError):
    """A picture cannot be found, read or used."""


class RequestError(LavidaError):
    """A request (steps, length, schedule, prompt) cannot be served."""


class DataError(LavidaError):
    """A data set or one of the packages it is built from is missing or broken."""


class TrainingError(LavidaError):
    """A training run cannot go on."""


def check_seed(seed: int) -> None:
    """Raises RequestError for a seed that no random generator takes."""
    if not -(2**63) <= seed < 2**64:
        raise RequestError(f"a seed has at most 64 bits, got {seed}; take a smaller number")
