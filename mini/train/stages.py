"""The stages of lavida-mini as data: the parts that are trained, on which data, for how long.

"words" teaches the denoiser to answer about symbolic scenes, as a language model is pretrained before it sees; "align"
and "finetune" are stages 1 and 2 of arXiv 2505.16839 (section 3.3); "tower" finetunes the last blocks of the tower,
which was pretrained on photographs, on drawn cells.
"""

from __future__ import annotations

from dataclasses import dataclass

from lavida.errors import ConfigError
from lavida.train.task import Plan


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Describe one stage of training; rates are those of AdamW, multiplied by a factor for each part."""

    name: str
    steps: int
    rows: int  # packed rows a step; 0 trains projector and tower alone, with the dense loss
    views: int  # views a step for the dense loss
    rate: float = 8e-4
    muon: float = 2.5  # factor for the matrices of the blocks
    embedding: float = 0.3
    projector: float = 0.4
    tower: float = 0.0  # factor for the adapted end of the tower; 0 = frozen
    symbolic: tuple[float, float] = (0.0, 0.0)  # share of symbolic scenes, at the start and at the end
    photos: float = 0.0  # share of rows with a photograph

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"stage {self.name}: steps must be at least 1, got {self.steps}")
        if self.rows == 0 and self.views == 0:
            raise ConfigError(f"stage {self.name}: give rows or views, or there is nothing to train on")
        if not all(0 <= s <= 1 for s in (*self.symbolic, self.photos)):
            raise ConfigError(f"stage {self.name}: shares lie between 0 and 1")

    @property
    def plan(self) -> Plan:
        """Return the schedule and optimizer settings of the stage."""
        return Plan(
            name=self.name, steps=self.steps, schedule="cut cosine", warmup=60, floor=0.05, betas=(0.9, 0.98),
            weight_decay=0.01,
        )  # fmt: skip


def mini_stages() -> tuple[Stage, ...]:
    """Return the recipe of the default model; about four hours on two CPU cores with `--compile`, longer without."""
    return (
        Stage(name="words", steps=800, rows=12, views=0, embedding=1.0, symbolic=(1.0, 1.0)),
        Stage(name="align", steps=3500, rows=0, views=96, rate=3e-3, projector=1.0),
        Stage(name="tower", steps=3000, rows=0, views=64, rate=8e-4, projector=2.0, tower=1.0),
        Stage(
            name="finetune", steps=5000, rows=12, views=0, rate=6.5e-4, tower=0.35, symbolic=(0.3, 0.05), photos=0.35
        ),
    )
