"""lavida-mini's curriculum: the same seed gives the same weights, and a stopped run goes on as if it never had."""

from __future__ import annotations

import json
import random

import pytest
import torch

from lavida.errors import CheckpointError, ConfigError
from lavida.model.efficientnet import EfficientNetLite0
from lavida.text.labels import Label
from lavida.train.trainer import Habits, Trainer
from mini.data.features import Features, write_features
from mini.data.worlds import CutoutInfo, SceneSampler
from mini.train.batches import BatchBuilder
from mini.train.run import export
from mini.train.stages import Stage
from mini.train.task import MiniTask
from tests.tiny import tiny_tokenizer

STAGES = (
    Stage(name="words", steps=3, rows=2, views=0, symbolic=(1.0, 1.0)),
    Stage(name="align", steps=2, rows=0, views=4),
    Stage(name="tower", steps=2, rows=0, views=4, tower=1.0),
    Stage(name="finetune", steps=4, rows=2, views=2, symbolic=(0.5, 0.0), photos=0.2),
)


class NoTower(torch.nn.Module):
    """Maps without a network: enough to train on."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(1))

    def trunk(self, views):
        return torch.rand(len(views), 196, 80, generator=torch.Generator().manual_seed(len(views)))

    def classify(self, maps):
        return maps.mean(1)[:, :3]


@pytest.fixture
def builder(tmp_path):
    world, rng = (
        SceneSampler([CutoutInfo(index=0, name=n, colour="red", aspect=1.0) for n in ("cat", "dog")]),
        random.Random(0),
    )
    scenes = [(torch.zeros(3, 448, 448, dtype=torch.uint8), world.scene(rng, (1, 1)), "") for _ in range(8)]
    write_features(tmp_path / "scenes", iter(scenes), NoTower())
    write_features(tmp_path / "photos", iter([(scenes[0][0], None, "photo 0")]), NoTower())
    labels = [Label(name=n, kinds=("thing",)) for n in ("tench", "Egyptian cat", "bus")]
    drawn, photos = Features(tmp_path / "scenes"), Features(tmp_path / "photos")
    return BatchBuilder(tiny_tokenizer(), labels, scenes=[drawn], photos=photos, d_model=384, row=256)


def tower():
    torch.manual_seed(1)
    return EfficientNetLite0().eval().fuse()


def run(builder, out, *, times=1, minutes=float("inf")):
    for _ in range(times):
        task = MiniTask(builder, builder.tokenizer, tower(), STAGES, seed=3)
        trainer = Trainer(task, out, habits=Habits(log=1), say=lambda line: None)
        trainer.resume()
        done = trainer.run(minutes=minutes)
    return task, done


def test_same_seed_same_weights_and_stopped_run_goes_on(builder, tmp_path):
    whole, done = run(builder, tmp_path / "a")
    assert done
    # A run that is stopped after every single step ends with the same weights, bit for bit.
    parts, done = run(builder, tmp_path / "b", times=sum(s.steps for s in STAGES) + 1, minutes=0)
    assert done
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(tensor, parts.module.state_dict()[name]), name


def test_losses_are_logged(builder, tmp_path):
    stages = [Stage(name="words", steps=2, rows=1, views=0, symbolic=(1.0, 1.0))]
    task = MiniTask(builder, builder.tokenizer, tower(), stages)
    Trainer(task, tmp_path, habits=Habits(log=2), say=lambda line: None).run()
    lines = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "step"]
    assert line["stage"] == "words" and line["step"] == 2 and 0 < line["content"] < 30 and line["samples"] > 2
    assert set(line["lr"]) == {"muon", "embedding", "projector", "other"}


def test_only_the_adapted_end_of_the_tower_is_trained(builder, tmp_path):
    stages = [Stage(name="tower", steps=1, rows=0, views=16, tower=1.0)]
    task = MiniTask(builder, builder.tokenizer, tower(), stages)
    Trainer(task, tmp_path, say=lambda line: None).run()
    before, after = tower(), task.vlm.tower
    before.adapt()
    changed = {n for n, p in before.named_parameters() if not torch.equal(p, after.get_parameter(n))}
    assert changed == {n for n, p in before.named_parameters() if p.requires_grad} and changed


def test_a_run_starts_from_a_model_folder(builder, tmp_path):
    first = MiniTask(builder, builder.tokenizer, tower(), STAGES, seed=3)
    export(first.vlm, builder.tokenizer, builder.labels, tmp_path / "model")
    second = MiniTask(builder, builder.tokenizer, tower(), STAGES, seed=5)
    second.start_from(tmp_path / "model")
    for name, tensor in first.vlm.state_dict().items():
        assert torch.equal(tensor.bfloat16(), second.vlm.state_dict()[name].bfloat16()), name
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["denoiser"]["max_length"] = 256
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="this recipe.s shape"):
        second.start_from(tmp_path / "model")


def test_stage_without_work_is_refused():
    with pytest.raises(ConfigError, match="give rows or views"):
        Stage(name="x", steps=1, rows=0, views=0)
    with pytest.raises(ConfigError, match="steps must be at least 1"):
        Stage(name="x", steps=0, rows=1, views=0)
