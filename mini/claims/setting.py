"""Hold what the claims are measured with: models, data, seeds; earlier weights come from the history of git."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.harness import ROOT
from lavida.api import Model, load
from lavida.batch.run import model_identity
from lavida.eval.metrics import without_nan
from mini.claims.result import NotMeasuredError

PAIRED = "c1ee7e6"  # lavida-mini's weights that were trained on as many questions as benchmarks/twin
EARLY = "9aeb202"  # weights that have much to learn yet (run 2)
TWIN = ROOT / "benchmarks" / "twin"
_ASSETS = "lavida/assets/mini"
_FILES = ("config.json", "labels.json", "model.safetensors", "tokenizer.json")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Hold what all claims are measured with."""

    data: Path  # what `python -m mini build` made
    runs: Path  # where results and the runs of trainings go
    model: str | None = None
    twin: Path = TWIN
    paired: Path | None = None  # None takes the weights out of the history of git
    seeds: int = 3
    quick: bool = False
    shared: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` gives, made once for all claims of a run."""
        if key not in self.shared:
            self.shared[key] = make()
        return self.shared[key]

    def part(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a part of a claim as JSON has it, made once and kept: a long claim goes on where it was."""
        path, facts = self.runs / "parts" / f"{name}.json", self.facts()
        if path.exists():
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["setting"] == facts:
                return held["value"]
        write_json(path, {"setting": facts, "value": make()})
        return json.loads(path.read_text(encoding="utf-8"))["value"]

    def some(self, full: T, quick: T) -> T:
        """Return one of two values."""
        return quick if self.quick else full

    @cached_property
    def ours(self) -> Model:
        """Return the model of today, on one thread."""
        return load(self.model, threads=1)

    @cached_property
    def autoregressive(self) -> Model:
        """Return the twin that writes left to right. Raises NotMeasuredError if it is none."""
        twin = load(self.twin, threads=1)
        if not twin.net.config.denoiser.autoregressive:
            raise NotMeasuredError(f"{self.twin} writes by diffusion; give a folder of `train --objective ar`")
        return twin

    @cached_property
    def counterpart(self) -> Path:
        """Return the folder of the diffusion weights that were trained as long as the twin."""
        return self.paired or self.earlier(PAIRED)

    def earlier(self, commit: str) -> Path:
        """Return a folder with lavida-mini's weights of a commit. Raises NotMeasuredError without git's history."""
        folder = self.runs.parent / "weights" / commit
        if (folder / _FILES[-1]).exists():
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:  # the last one is written last
            shown = subprocess.run(["git", "-C", ROOT, "show", f"{commit}:{_ASSETS}/{name}"], capture_output=True)
            if shown.returncode:
                raise NotMeasuredError(f"needs the weights of commit {commit}, which this copy's git history lacks")
            (folder / name).write_bytes(shown.stdout)
        return folder

    def facts(self) -> dict[str, Any]:
        """Return what a kept result must agree in."""
        built = self.data / "built.json"
        return {
            "seeds": self.seeds,
            "quick": self.quick,
            "model": self.model or "lavida-mini",
            "weights": model_identity(self.model),
            "data": json.loads(built.read_text()) if built.exists() else None,
        }


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(without_nan(data), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)
