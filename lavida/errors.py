"""Errors that a user can cause; the command line shows each as a single line."""

from __future__ import annotations


class LavidaError(Exception):
    """Report a mistake of the user in one line: what is wrong and how to mend it."""


class ConfigError(LavidaError):
    """Report a configuration field that is missing, unknown or out of range."""


class CheckpointError(LavidaError):
    """Report a checkpoint that cannot be found, read or matched to the model."""


class ImageError(LavidaError):
    """Report a picture or video that cannot be found, read or used."""


class RequestError(LavidaError):
    """Report a request (steps, length, schedule, prompt) that cannot be served."""


class DataError(LavidaError):
    """Report a data set, or a package that it is built from, that is missing or broken."""


class TrainingError(LavidaError):
    """Report a training run that cannot go on."""


def check_range(name: str, value: object, least: float, largest: float, *, whole: bool = True) -> None:
    """Raise RequestError for an option that is no number, no whole one, or out of range."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise RequestError(f"{name} must be a {'whole ' * whole}number, got {value!r}")
    if not least <= value <= largest:
        raise RequestError(f"{name} must be {least} to {largest}, got {value}")


def check_text(name: str, value: object) -> None:
    """Raise RequestError for what should be a text and is none."""
    if not isinstance(value, str):
        raise RequestError(f"{name} is a text, got {type(value).__name__}; give a str")


def check_seed(seed: int) -> None:
    """Raise RequestError for a seed that no random generator takes."""
    if not -(2**63) <= seed < 2**64:
        raise RequestError(f"a seed has at most 64 bits, got {seed}; take a smaller number")
