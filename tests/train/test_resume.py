"""A run that goes on under other options: what can change does and is logged, what cannot is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lavida
from lavida.errors import ConfigError, DataError, LavidaError
from lavida.train.launch import train
from lavida.train.recipes import Rates
from lavida.train.task import Plan
from lavida.train.trainer import Trainer
from tests.train.test_finetune import QUICK, entry, events, options, quiet, small, write_set  # noqa: F401
from tests.train.test_trainer import PLANS, Line, losses, trainer_of


def changed(out: Path) -> dict[str, tuple[object, object]]:
    return {event["name"]: (event["before"], event["now"]) for event in events(out, "changed")}


def stopped(small: Path, tmp_path: Path, **more: object) -> Path:  # noqa: F811
    """Return the data of a run in `tmp_path / "run"` that was stopped after one of three steps."""
    data = write_set(tmp_path / "data", [entry(i) for i in range(12)])
    assert not train(QUICK, options(small, data, tmp_path / "run", minutes=0, **more), say=quiet)
    return data


def test_another_rate_holds_and_is_logged(small, tmp_path):  # noqa: F811
    data = stopped(small, tmp_path)
    faster = replace(QUICK, rates=Rates(denoiser=3e-3, projector=3e-3))
    lines: list[str] = []
    assert train(faster, options(small, data, tmp_path / "run"), say=lines.append)
    rates = [event["lr"]["denoiser"] for event in events(tmp_path / "run", "step")]
    before = [QUICK.rates.denoiser, 3e-3]
    share = [rate / full for rate, full in zip(rates, (before[0], before[1], before[1]))]
    assert share[0] == pytest.approx(1) and share[1] > 0.5  # of the new rate, not of the old one
    assert changed(tmp_path / "run")["--rate, --freeze"][1] == {"denoiser": 3e-3, "projector": 3e-3, "tower": 0.0}
    assert any("--rate, --freeze is now" in line for line in lines)


def test_a_part_can_be_frozen_or_thawed_on_the_way(small, tmp_path):  # noqa: F811
    data = stopped(small, tmp_path)
    for rates in (Rates(denoiser=1e-3), Rates(denoiser=1e-3, projector=1e-3, tower=1e-3)):
        train(replace(QUICK, rates=rates), options(small, data, tmp_path / "run", minutes=0), say=quiet)
    assert set(events(tmp_path / "run", "step")[-1]["lr"]) == {"denoiser", "projector", "tower"}


def test_another_rule_precision_and_edited_data_hold_and_are_logged(small, tmp_path):  # noqa: F811
    data = stopped(small, tmp_path)
    write_set(tmp_path / "data", [entry(i, answer="a dog") for i in range(12)])
    other = replace(QUICK, rule=replace(QUICK.rule, end_padding=3))
    assert train(other, options(small, data, tmp_path / "run", precision="bfloat16"), say=quiet)
    assert {"--rule", "--precision"} <= changed(tmp_path / "run").keys()


def test_edited_files_of_other_lengths_are_noticed(small, tmp_path):  # noqa: F811
    data = stopped(small, tmp_path)
    write_set(tmp_path / "data", [entry(i, answer="two dogs") for i in range(12)])
    assert train(QUICK, options(small, data, tmp_path / "run"), say=quiet)
    assert changed(tmp_path / "run").keys() == {"the files of --data"}


@pytest.mark.parametrize(
    ("recipe", "more", "name"),
    [
        ({"batch": 8}, {}, "--batch 4, not 8"),
        ({}, {"seed": 1}, "--seed 0, not 1"),
        ({}, {"lora": 2}, "--lora null, not 2"),
        ({}, {"held_out": 3}, "--data or --held-out"),
        ({"objective": replace(QUICK.objective, weighting="1/t")}, {}, "the objective"),
        ({"name": "other"}, {}, r"other stages \(tune, not other\)"),
    ],
)
def test_what_cannot_change_is_refused_by_name(recipe, more, name, small, tmp_path):  # noqa: F811
    data = stopped(small, tmp_path)
    with pytest.raises(ConfigError, match=name):
        train(replace(QUICK, **recipe), options(small, data, tmp_path / "run", **more), say=quiet)
    assert train(QUICK, options(small, data, tmp_path / "run"), say=quiet)  # as before it goes on


def test_a_finished_run_is_lengthened_with_its_momenta(tmp_path):
    plan = Plan(name="one", steps=6, schedule="constant")
    for out, first in (("whole", 6), ("parts", 3)):
        trainer_of(tmp_path / out, task=Line([replace(plan, steps=first)])).run()
    longer = trainer_of(tmp_path / "parts", task=Line([plan]))
    assert longer.resume() and longer.total == 3 and longer.run()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert changed(tmp_path / "parts") == {"steps of stage one": (3, 6)}
    with pytest.raises(ConfigError, match="has done 6 steps of stage one and cannot be shortened to 4"):
        trainer_of(tmp_path / "parts", task=Line([replace(plan, steps=4)])).resume()


def test_a_finished_run_without_settings_is_lengthened_too(tmp_path):
    plan = Plan(name="one", steps=6, schedule="constant")
    for out, first in (("whole", 6), ("parts", 3)):
        trainer_of(tmp_path / out, task=Line([replace(plan, steps=first)])).run()
    (tmp_path / "parts" / "settings.json").unlink()
    longer = trainer_of(tmp_path / "parts", task=Line([plan]))
    assert longer.resume() and longer.total == 3 and longer.run()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    (tmp_path / "parts" / "settings.json").unlink()
    with pytest.raises(ConfigError, match="cannot be shortened to 4"):
        trainer_of(tmp_path / "parts", task=Line([replace(plan, steps=4)])).resume()


def test_a_finished_run_writes_its_model_again(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i) for i in range(12)])
    assert train(QUICK, options(small, data, tmp_path / "run"), say=quiet)
    before = lavida.load(tmp_path / "run" / "model").net.state_dict()
    assert train(replace(QUICK, steps=5), options(small, data, tmp_path / "run"), say=quiet)
    after = lavida.load(tmp_path / "run" / "model").net.state_dict()
    assert len(events(tmp_path / "run", "step")) == 5
    assert any(not torch.equal(before[name], after[name]) for name in before)


def damage(folder: Path, how: str) -> None:
    file = max(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    if how == "cut":
        del data[-1]
    else:
        data[-3] ^= 255  # a value of a tensor; the file can still be read
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_checkpoint_at_a_stages_beginning_gives_way_to_the_one_before(how, tmp_path):
    trainer_of(tmp_path / "whole").run()

    class Stopped(BaseException):
        pass

    class Halting(Line):
        def begin(self, stage, *, fresh):
            if stage == 1:
                raise Stopped
            return super().begin(stage, fresh=fresh)

    first = trainer_of(tmp_path / "parts", task=Halting(PLANS), save=0)
    with pytest.raises(Stopped):
        first.run()
    assert sorted(p.name for p in (tmp_path / "parts" / "state").iterdir()) == ["step-3", "step-4"]
    damage(tmp_path / "parts" / "state" / "step-4", how)
    lines: list[str] = []
    second = Trainer(Line(PLANS), tmp_path / "parts", habits=first.habits, say=lines.append)
    assert second.resume() and (second.stage, second.step) == (0, 3)
    assert second.run() and losses(tmp_path / "parts") == losses(tmp_path / "whole")
    if how == "flipped":
        assert any("step 4" in line and "damaged" in line for line in lines)


def test_nothing_learns_from_a_batch_without_pictures_when_the_projector_learns_alone(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i, None if i % 3 else "a.png") for i in range(12)])
    recipe = replace(QUICK, rates=Rates(projector=1e-3))
    assert train(recipe, options(small, data, tmp_path / "run", micro=1), say=quiet)


def test_damaged_settings_are_one_line(tmp_path):
    trainer_of(tmp_path).run(minutes=0)
    (tmp_path / "settings.json").write_text('{"stages": 3')
    with pytest.raises(DataError, match="settings.json is damaged"):
        trainer_of(tmp_path).resume()


# Row 15: adapters.


@pytest.mark.parametrize("packed", [None, "int8"])
def test_adapters_are_asked_by_their_folder_and_by_peft(packed, small, tmp_path):  # noqa: F811
    peft = pytest.importorskip("peft")
    from lavida.hf.model import LavidaForMaskedDiffusion

    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    recipe = replace(QUICK, rates=Rates(denoiser=0.05))
    train(recipe, options(small, data, tmp_path / "run", lora=2, quantize=packed), say=quiet)
    adapter = tmp_path / "run" / "adapter"
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == str(small.resolve())
    model, base = lavida.load(adapter), lavida.load(small)
    changed = [k for k, v in model.net.state_dict().items() if not torch.equal(v, base.net.state_dict()[k])]
    assert len(changed) == 2 * 7 and all(name.startswith("denoiser.blocks") for name in changed)
    model.ask(tmp_path / "data" / "a.png", "What is this?", length=8, steps=2)
    lavida.load(adapter, quantize="int8").ask(tmp_path / "data" / "a.png", "What?", length=8, steps=2)
    theirs = peft.PeftModel.from_pretrained(LavidaForMaskedDiffusion.from_pretrained(small), str(adapter))
    merged = theirs.merge_and_unload().net.state_dict()
    for name, tensor in model.net.state_dict().items():
        assert torch.allclose(tensor, merged[name], atol=1e-6), name


@pytest.mark.parametrize(
    "edit",
    [
        {"peft_type": "IA3"},
        {"r": None},
        {"use_dora": True},
        {"base_model_name_or_path": None},
        {"base_model_name_or_path": "no/model"},
    ],
)
def test_adapters_that_cannot_be_used_are_one_line(edit, small, tmp_path):  # noqa: F811
    pytest.importorskip("peft")
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    train(replace(QUICK, steps=1), options(small, data, tmp_path / "run", lora=2), say=quiet)
    path = tmp_path / "run" / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))
    with pytest.raises(LavidaError):
        lavida.load(path.parent)
