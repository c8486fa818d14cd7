"""The recipe few-steps: own answers, each once; masks that decoding meets; runs that go on to the bit; every family."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lavida
from lavida.checkpoint.make_random import make_random
from lavida.cli.main import main
from lavida.config import EvidenceConfig
from lavida.data.collate import collate
from lavida.data.encode import Encoder
from lavida.data.own_answers import OWN_ANSWERS, OwnAnswers
from lavida.data.samples import Sample, Trajectory
from lavida.data.sources import open_source
from lavida.diffusion.masking import trajectory_masks
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError, DataError, RequestError
from lavida.text.messages import Part, Turn
from lavida.text.names import Name, save_names
from lavida.text.things import COCO
from lavida.train import own_answers, step
from lavida.train.evidence import TrainingEvidence
from lavida.train.finetune import Options
from lavida.train.launch import train
from lavida.train.own_answers import teacher_options, write_own_answers
from lavida.train.recipes import RECIPES, find_recipe
from lavida.train.step import Targets, TrainingStep, draw_targets
from tests.decode.test_prompt import folder_of
from tests.tiny import LABELS, save_tiny
from tests.train.test_finetune import ROOT, entry, events, options, quiet, small, write_set  # noqa: F401
from tests.train.test_recorded_losses import write_set as dialogues

FEW = replace(find_recipe("few-steps"), batch=4, steps=3, warmup=0.0)
FAMILIES = ("lavida-mini", "lavida-llada", "lavida-dream", "llada-v", "llada", "dream")


def lines_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / OWN_ANSWERS).read_text().splitlines()]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in events(run, "step")]


def model_of(family: str, folder: Path) -> Path:
    if family == "lavida-mini":
        return save_tiny(folder / "model")
    if family == "evidence":
        (folder / "model").mkdir()
        save_names([Name(words=("this", "it"), classes=(3, 5), things=(1,))], folder / "model")
        config = EvidenceConfig(classes=len(LABELS), things=len(COCO), boxes=3, names=1)
        return folder_of(folder / "model", config)
    make_random(family, "tiny", folder / "model")
    return folder / "model"


def few(model: Path, data: Path, out: Path, **more) -> Options:
    return options(model, data, out, **({"length": 8} | more))


@pytest.mark.parametrize("family", [*FAMILIES, "evidence"])
def test_training_sees_at_each_moment_what_decoding_saw(family: str, tmp_path: Path, monkeypatch) -> None:
    """The likeliest tokens of a training step, under the masks of a moment, are those that were committed then."""
    model = lavida.load(model_of(family, tmp_path))
    data = open_source(dialogues(tmp_path / "data", pictures=family not in ("llada", "dream"), every=False))
    length = 36 if family == "llada" else 8  # whose blocks are of 32
    answers = write_own_answers(model, [data], tmp_path / "run", length=length, say=quiet)
    own = answers.of(data, 0, only_right=False)
    decoding = teacher_options(model, length=length, seed=0)
    attention = "prefix" if decoding.cache == "prefix" else "full"
    objective = replace(FEW.objective, attention=attention)
    encode = Encoder(model.net.config, model.tokenizer, FEW.rule)
    evidence = TrainingEvidence(model.reader) if family == "evidence" else None
    training = TrainingStep(model.net, objective, hint_ids=_hint(model), evidence=evidence)
    found: list[torch.Tensor] = []
    monkeypatch.setattr(step, "certainty_loss", lambda logits, *a, **k: (found.append(logits), logits.sum() * 0)[1])
    banned = [*decoding.banned, model.net.config.denoiser.mask_id]
    compared = 0
    for i in (0, 2):
        batch = collate([encode(own[i], random.Random(0))], pad_id=encode.pad_id)
        trajectory = own[i].trajectory
        for moment in range(max(s for s in trajectory.steps if s is not None) + 1):
            masked, asked = trajectory_masks(batch.steps, batch.blocks, torch.tensor([[moment]]))
            share = torch.ones(1, 1)
            with torch.no_grad():
                training(batch, Targets(masked=asked, p=share, lengths=asked.sum(-1)[0], later=masked & ~asked))
            logits = found.pop()
            logits[:, banned] = -torch.inf
            committed = batch.steps[0][asked[0, 0]] == moment
            assert committed.any() or trajectory.steps.count(moment) == 0
            truth = batch.ids[0][asked[0, 0]][committed]
            if not _is_padding(truth, model):
                assert logits.argmax(-1)[committed].tolist() == truth.tolist()
                compared += 1
    assert compared > 6


def _hint(model):
    from functools import partial

    from lavida.decode.image_encoder import first_guess

    return partial(first_guess, model.tokenizer, model.labels) if model.labels else None


def _is_padding(ids: torch.Tensor, model) -> bool:
    return bool(torch.isin(ids, torch.tensor(model.net.config.denoiser.eos_ids)).any()) and len(ids) > 1


def test_every_question_is_answered_once_whenever_the_run_was_stopped(small, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(own_answers, "AT_ONCE", 3)
    broken = {
        2: entry(2, "none.png"),
        5: entry(5, "torn.png"),
        6: {"image": "a.png", "question": "What?", "answer": ""},
    }
    entries = [broken.get(i, entry(i)) for i in range(8)]
    two = {"from": "human", "value": "And now?"}, {"from": "gpt", "value": "a dog"}
    entries[3]["conversations"] += two
    data = write_set(tmp_path / "data", entries)
    assert train(FEW, few(small, data, tmp_path / "whole"), say=quiet)
    said: list[str] = []
    for _ in range(2):
        assert not train(FEW, few(small, data, tmp_path / "parts", minutes=0), say=said.append)
        with (tmp_path / "parts" / OWN_ANSWERS).open("a") as file:  # killed within a line
            file.write('{"source": 0, "ind')
    while not train(FEW, few(small, data, tmp_path / "parts", minutes=0), say=said.append):
        pass
    head, *lines = lines_of(tmp_path / "whole")
    assert lines_of(tmp_path / "parts") == [head, *lines]
    assert [(line["index"], line["turn"]) for line in lines] == [(i, 1) for i in range(4)] + [(3, 3)] + [
        (4, 1), (5, 1), (6, 0), (7, 1)
    ]  # fmt: skip
    assert {line["index"] for line in lines if "left_out" in line} == {2, 5, 6}
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    left = [line for line in said if line.startswith("no answer to set:")]
    assert len(left) == 3 and any("no such file" in line or "none.png" in line for line in left)


def test_a_run_that_is_stopped_after_every_step_goes_on_to_the_bit(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i) for i in range(10)])
    assert train(FEW, few(small, data, tmp_path / "whole", held_out=2), say=quiet)
    done = False
    for _ in range(FEW.steps):
        assert not done
        done = train(FEW, few(small, data, tmp_path / "parts", held_out=2, minutes=0), say=quiet)
    assert done and losses(tmp_path / "parts") == losses(tmp_path / "whole") and len(losses(tmp_path / "whole")) == 3
    whole, parts = (lavida.load(tmp_path / run / "model").net.state_dict() for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    before = lavida.load(small).net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], whole[name])}
    assert changed and all(name.startswith("denoiser") for name in changed)


@pytest.mark.slow
@pytest.mark.sharded
def test_two_processes_write_the_answers_of_one_and_learn_the_same(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i, None if i % 3 else "a.png") for i in range(21)])
    words = ["train", "few-steps", "--model", small, "--data", data, "--steps", 3, "--batch", 4, "--micro", 2]
    words += ["--precision", "float32", "--held-out", 2, "--log-every", 1, "--length", 8]
    for out, start in (("one", ()), ("two", ("torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m"))):
        command = [sys.executable, "-m", *start, "lavida.cli.main", *map(str, [*words, "--out", tmp_path / out])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
    assert lines_of(tmp_path / "two") == lines_of(tmp_path / "one") and len(lines_of(tmp_path / "one")) == 22
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=0, abs=1e-5)


def test_micro_batches_do_not_change_the_loss(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    for micro in (1, 4):
        train(replace(FEW, grouped=False, steps=1), few(small, data, tmp_path / f"run{micro}", micro=micro), say=quiet)
        assert len(events(tmp_path / f"run{micro}", "step")) == 1
    # The moments of a micro-batch depend on its number, so only the sizes of the losses are alike.
    one, four = losses(tmp_path / "run1")[0], losses(tmp_path / "run4")[0]
    assert one == pytest.approx(four, rel=0.2)


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_every_family_learns_few_steps(family: str, tmp_path: Path) -> None:
    data = dialogues(tmp_path / "data", pictures=family not in ("llada", "dream"), every=False)
    recipe = replace(FEW, steps=2)
    assert train(recipe, few(model_of(family, tmp_path), data, tmp_path / "run", held_out=1), say=quiet)
    assert len(losses(tmp_path / "run")) == 2 and events(tmp_path / "run", "eval")[0]["loss"] > 0
    assert lavida.load(tmp_path / "run" / "model").net.config.family == family


def test_adapters_learn_few_steps(small, tmp_path):  # noqa: F811
    pytest.importorskip("peft")
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    assert train(replace(FEW, steps=2), few(small, data, tmp_path / "run", lora=2), say=quiet)
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()


def test_other_recipes_have_neither_certainty_nor_trajectories() -> None:
    for name, recipe in RECIPES.items():
        used = {"masking", "certainty"} <= recipe.objective.to_dict().keys()
        assert used == recipe.own_answers == (name == "few-steps")


def test_without_a_weight_the_certainty_is_not_computed(small, tmp_path, monkeypatch):  # noqa: F811
    def never(*args, **kwargs):
        raise AssertionError("computed")

    monkeypatch.setattr(step, "certainty_loss", never)
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    plain = replace(find_recipe("tune"), batch=4, steps=1, objective=Objective())
    assert train(plain, options(small, data, tmp_path / "plain"), say=quiet)
    off = replace(FEW, steps=1, objective=replace(FEW.objective, certainty=0.0))
    assert train(off, few(small, data, tmp_path / "off"), say=quiet)
    with pytest.raises(AssertionError, match="computed"):
        train(replace(FEW, steps=1), few(small, data, tmp_path / "on"), say=quiet)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"length": 16}, "--length"),
        ({"seed": 1}, "--seed"),
        ({"precision": "bfloat16"}, "--precision"),
        ({"only_right": True}, "the model answers 8 of its 8 questions, none of them with the data's words"),
        ({"data": "other"}, "holds answers of other data"),
        ({"model": "other"}, "holds answers of another model"),
    ],
)
def test_a_run_keeps_the_answers_that_it_has(more, told, small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    assert not train(FEW, few(small, data, tmp_path / "run", minutes=0), say=quiet)
    if more.get("data"):
        data, more = write_set(tmp_path / "other", [entry(i) for i in range(9)]), {}
    if more.get("model"):
        small, more = save_tiny(tmp_path / "another"), {}
    with pytest.raises((ConfigError, DataError), match=told):
        train(FEW, few(small, data, tmp_path / "run", **more), say=quiet)


def test_only_right_answers_are_learnt_where_that_is_asked_for(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    answers = write_own_answers(lavida.load(small), [open_source(data)], tmp_path / "first", length=8, say=quiet)
    own = answers.lines[2]["answer"]
    truths = ["no", "no", own, *["no"] * 5]
    data = write_set(tmp_path / "data", [{"image": "a.png", "conversations": _asked(truth)} for truth in truths])
    assert train(FEW, few(small, data, tmp_path / "run", only_right=True), say=quiet)
    right = [line["index"] for line in lines_of(tmp_path / "run")[1:] if line["right"]]
    assert 2 in right
    with pytest.raises(ConfigError, match="begun with --data, --held-out or --only-right 1 of set"):
        train(FEW, few(small, data, tmp_path / "run"), say=quiet)


def test_a_plain_text_asks_nothing(small, tmp_path):  # noqa: F811
    data = write_set(tmp_path / "data", [{"text": "A cat sat."}, entry(1)])
    answers = write_own_answers(lavida.load(small), [open_source(data)], tmp_path / "own", length=8, say=quiet)
    assert answers.lines[0]["left_out"] == "a text without a question" and "left_out" not in answers.lines[1]


def _asked(answer: str) -> list[dict]:
    return [{"from": "human", "value": "What is this?"}, {"from": "gpt", "value": answer}]


def test_a_model_that_writes_left_to_right_is_refused_in_one_line(small, tmp_path, capsys):  # noqa: F811
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    ar = replace(find_recipe("ar"), batch=4, steps=1)
    assert train(ar, options(small, data, tmp_path / "ar"), say=quiet)
    words = ["train", "few-steps", "--model", tmp_path / "ar" / "model", "--data", data, "--out", tmp_path / "run"]
    assert main([str(word) for word in words]) == 2
    line = capsys.readouterr().err
    assert "writes one token after the other" in line and line.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tune", "--length", "8"], "are about the model's own answers"),
        (["tune", "--only-right"], "are about the model's own answers"),
        (["few-steps", "--rule", "lavida"], "leave out --rule"),
        (["few-steps", "--length", "0"], "length must be"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments, told, tmp_path, capsys):
    data = write_set(tmp_path / "data", [entry(i) for i in range(2)])
    assert main(["train", *arguments, "--data", str(data), "--out", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1


def test_damaged_answers_are_one_line(tmp_path):
    (tmp_path / OWN_ANSWERS).write_text('{"model": 1}\n{"source": \n')
    with pytest.raises(DataError, match="is damaged"):
        OwnAnswers(tmp_path / OWN_ANSWERS)


def test_masks_of_a_trajectory_need_one(small):  # noqa: F811
    model = lavida.load(small)
    encode = Encoder(model.net.config, model.tokenizer, FEW.rule)
    turns = tuple(Turn(role=r, parts=(Part(kind="text", value=t),)) for r, t in (("user", "What?"), ("assistant", "a")))
    plain = collate([encode(Sample(name="x:0", turns=turns), random.Random(0))], pad_id=0)
    with pytest.raises(ConfigError, match="take the recipe few-steps"):
        draw_targets(plain, FEW.objective, torch.Generator())
    along = Sample(name="x:0", turns=turns, trajectory=Trajectory(canvas=(5, 6, 7), steps=(1, 0, None)))
    example = encode(along, random.Random(0))
    assert example.ids[-3:].tolist() == [5, 6, 7] and example.answer.tolist()[-4:] == [0, 1, 1, 1]
    with pytest.raises(ConfigError, match="neither packed nor padded"):
        collate([example], pad_id=0, end_padding=3)


def test_recipes_that_contradict_themselves_are_refused():
    with pytest.raises(ConfigError, match="own answers go with masking"):
        replace(FEW, own_answers=False)
    with pytest.raises(RequestError, match="unknown recipe"):
        find_recipe("few")
