"""Three steps of every objective draw the recorded rows and reach the recorded losses, bit for bit where recorded.

`python -m tests.mini.train.test_recorded_losses` records them anew. On another processor or release of PyTorch the
losses, which are computed in bfloat16, must agree to two percent; the rows must always be equal. What a share of right
guesses is there is not compared: one guess that falls the other way is a twelfth of it.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lavida.text.labels import Label
from mini.data.features import Features, write_features
from mini.data.worlds import CutoutInfo, SceneSampler
from mini.train import task as module
from mini.train.batches import BatchBuilder
from mini.train.objectives import OBJECTIVES
from mini.train.stages import Stage
from mini.train.task import MiniTask
from tests.mini.train.test_task import NoTower, tower
from tests.tiny import tiny_tokenizer

RECORDED = Path(__file__).parents[2] / "recorded" / "mini_losses.json"
STAGE = Stage(name="finetune", steps=3, rows=2, views=2, symbolic=(0.5, 0.0), photos=0.2, tower=0.5)
ROW_FIELDS = ("ids", "positions", "segment", "parent", "targets", "masked", "picture", "name_positions")
WIDTH = 48
SHARES = ("cells", "counted")


def machine() -> str:
    """Return what decides the last bits of a sum: PyTorch's release, its kernels and the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {names[0] if names else '-'}"


def train(objective: str, folder: Path) -> dict[str, Any]:
    """Return the losses of three steps of a tiny model, and digests of the rows that it was fed."""
    tokenizer = tiny_tokenizer()
    world, rng = (
        SceneSampler([CutoutInfo(index=0, name=n, colour="red", aspect=1.0) for n in ("cat", "dog")]),
        random.Random(0),
    )
    scenes = [(torch.zeros(3, 448, 448, dtype=torch.uint8), world.scene(rng, (1, 1)), "") for _ in range(6)]
    write_features(folder / "scenes", iter(scenes), NoTower(), log=lambda _: None)
    write_features(folder / "photos", iter([(scenes[0][0], None, "photo 0")]), NoTower(), log=lambda _: None)
    labels = [Label(name=n, kinds=("thing",)) for n in ("tench", "Egyptian cat", "bus")]
    drawn, photos = Features(folder / "scenes"), Features(folder / "photos")
    builder = BatchBuilder(
        tokenizer, labels, scenes=[drawn], photos=photos, d_model=WIDTH, row=256, objective=OBJECTIVES[objective]
    )  # fmt: skip
    task = MiniTask(builder, tokenizer, tower(), [STAGE], seed=3)
    groups = task.begin(0, fresh=True)
    optimizer = torch.optim.SGD([p for group in groups for p in group.parameters], lr=0.05)
    steps = []
    for step in range(STAGE.steps):
        micro = task.batch(step)
        outcome = task.loss(micro.data)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
        batch = micro.data[0].packed
        rows = hashlib.sha256(b"".join(getattr(batch, name).numpy().tobytes() for name in ROW_FIELDS)).hexdigest()
        figures = {"loss": outcome.loss.item(), **outcome.figures}
        steps.append({"rows": rows[:16], "questions": batch.questions, **{k: v.hex() for k, v in figures.items()}})
    weight = task.vlm.denoiser.embedding.weight.detach()
    return {"steps": steps, "weights": hashlib.sha256(weight.numpy().tobytes()).hexdigest()[:16]}


def small(tokenizer: Any) -> Any:
    """Return lavida-mini's configuration with two layers of width 48."""
    config = _MINI_CONFIG(tokenizer)
    denoiser = replace(config.denoiser, d_model=WIDTH, n_layers=2, n_heads=2, n_kv_heads=2, mlp_size=64)
    return replace(config, denoiser=denoiser, projector_hidden=32)


_MINI_CONFIG = module.mini_config


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_rows_and_losses_are_the_recorded_ones(objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mini_config", small)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    found, wanted = train(objective, tmp_path), recorded[objective]
    for step, expected in zip(found["steps"], wanted["steps"], strict=True):
        assert {k: step[k] for k in ("rows", "questions")} == {k: expected[k] for k in ("rows", "questions")}
        numbers, known = (
            {k: float.fromhex(v) for k, v in values.items() if k not in ("rows", "questions", *SHARES)}
            for values in (step, expected)
        )
        assert numbers == pytest.approx(known, rel=0.02, abs=0.01)
    if recorded["machine"] == machine() and torch.get_num_threads() == 1:
        assert found == wanted


def record() -> None:
    """Write the losses of every objective to the file."""
    torch.set_num_threads(1)
    module.mini_config = small
    found: dict[str, Any] = {"machine": machine()}
    for objective in OBJECTIVES:
        with tempfile.TemporaryDirectory() as folder:
            found[objective] = train(objective, Path(folder))
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
