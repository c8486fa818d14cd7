"""Fixtures shared by all tests."""

from __future__ import annotations

import os

# Before anything imports PyTorch, here and in the processes that tests start: one thread that waits without spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest

from tests.pictures import gradient


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Draw the same numbers in a test whatever ran before it."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good picture on disk."""
    path = tmp_path_factory.mktemp("photo") / "good.png"
    gradient(90, 60).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random model."""
    from tests.tiny import save_tiny

    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def random_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny random checkpoint of each family that is published, in its layout. Copy before changing one."""
    from lavida.checkpoint.make_random import RECIPES, make_random

    root = tmp_path_factory.mktemp("random")
    for family in RECIPES:
        make_random(family, "tiny", root / family)
    return {family: root / family for family in RECIPES}
