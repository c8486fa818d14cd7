"""Checkpoints of a run in one folder: the newest few, each whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from lavida.errors import DataError


class Checkpoints:
    """`folder/step-N` is the checkpoint of step N; `keep` of them are kept."""

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def save(self, step: int, state: dict[str, Any], *, wait: bool = False) -> None:
        """Write beside, then rename: what is there is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / "new"
        torch.save(state, fresh)
        os.replace(fresh, self.folder / f"step-{step}")
        for old in self._steps()[: -self.keep]:
            (self.folder / f"step-{old}").unlink()

    def latest(self) -> int | None:
        """The newest step, None if there is none."""
        return max(self._steps(), default=None)

    def load(self, state: dict[str, Any]) -> dict[str, Any]:
        """The newest checkpoint that can be read. Raises DataError if none can."""
        reason: object = "there is none"
        for step in reversed(self._steps()):
            try:
                return torch.load(self.folder / f"step-{step}", weights_only=True, map_location="cpu")
            except Exception as error:  # torch raises pickle, zip and runtime errors alike
                reason = error
        raise DataError(f"no checkpoint in {self.folder} can be read ({reason}); delete it to start anew")

    def wait(self) -> None:
        """Until what was begun is written: here, at once."""

    def _steps(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name.removeprefix("step-")) for p in self.folder.iterdir() if p.name.startswith("step-"))
