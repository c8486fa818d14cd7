"""Training on files: broken entries are passed over, a run goes on to the bit, what comes out answers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import lavida
from lavida.checkpoint.inventory import read_config, survey
from lavida.checkpoint.io import save_checkpoint
from lavida.cli.main import main
from lavida.config import DenoiserConfig, VLMConfig
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError, DataError, RequestError
from lavida.train.finetune import Options, thaw, trained_config
from lavida.train.launch import mix, train
from lavida.train.lora import load_adapters, merge_adapters
from lavida.train.recipes import RECIPES, Portion, Rates, Recipe, find_recipe
from lavida.train.trainer import Habits
from tests.fakes import LITE0, SIGLIP, TILES, tiny_config, tiny_model
from tests.tiny import tiny_tokenizer

ROOT = Path(__file__).parents[2]
QUICK = replace(find_recipe("tune"), batch=4, steps=3, objective=Objective(), warmup=0.0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: lavida-mini's tokenizer before a tower of two layers."""
    folder, tokenizer = tmp_path_factory.mktemp("model"), tiny_tokenizer()
    denoiser = DenoiserConfig(
        vocab_size=tokenizer.size, d_model=32, n_layers=2, n_heads=4, n_kv_heads=4, mlp_size=48,
        mask_id=tokenizer.mask_id, eos_ids=(tokenizer.eos_id,), max_length=256,
    )  # fmt: skip
    save_checkpoint(tiny_model(VLMConfig(denoiser=denoiser, vision=SIGLIP, tiles=TILES)), folder)
    tokenizer.save(folder)
    return folder


def entry(i: int, image: str | None = "a.png", answer: str = "a cat") -> dict:
    told = [{"from": "human", "value": "What is this?"}, {"from": "gpt", "value": f"{answer} {i}" if answer else ""}]
    return {"conversations": told} | ({"image": image} if image else {})


def write_set(folder: Path, entries: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (64, 48), "red").save(folder / "a.png")
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:60])
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in entries))
    return path


def options(small: Path, data: Path, out: Path, **more) -> Options:
    chosen = {"micro": 2, "precision": "float32", "habits": Habits(log=1, save=1e9), "held_out": 0}
    return Options(model=str(small), data=(str(data),), out=out, **(chosen | more))


def events(out: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def quiet(line: str) -> None:
    pass


def test_broken_entries_are_named_and_the_rest_is_learnt(small, tmp_path):
    broken = {3: entry(3, "none.png"), 11: entry(11, "torn.png"), 14: entry(14, answer="")}
    data = write_set(tmp_path / "data", [broken.get(i, entry(i, None if i % 2 else "a.png")) for i in range(20)])
    recipe = replace(QUICK, steps=5)  # each sample once
    assert train(recipe, options(small, data, tmp_path / "run"), say=quiet)
    named = {line["name"].rpartition(":")[2] for line in events(tmp_path / "run", "skipped")}
    assert named == {str(i) for i in broken}
    assert events(tmp_path / "run", "stop")[0]["reason"] == "done"


def test_a_run_that_is_stopped_after_every_step_goes_on_to_the_bit(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i) for i in range(10)])
    assert train(QUICK, options(small, data, tmp_path / "whole", held_out=2), say=quiet)
    for _ in range(QUICK.steps):
        done = train(QUICK, options(small, data, tmp_path / "parts", held_out=2, minutes=0), say=quiet)
    assert done
    whole, parts = ([line["loss"] for line in events(tmp_path / run, "step")] for run in ("whole", "parts"))
    assert whole == parts and len(whole) == 3
    (held_out,) = events(tmp_path / "whole", "eval")
    assert 0 < held_out["loss"] < 30 and len(held_out["captions"]) == 2
    assert held_out["captions"][0]["truth"].startswith("a cat") and held_out["captions"][0]["image"].endswith("a.png")
    assert events(tmp_path / "parts", "eval")[0]["loss"] == held_out["loss"]


@pytest.mark.slow
@pytest.mark.sharded
def test_two_processes_learn_what_one_does_and_one_goes_on_where_two_stopped(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i, None if i % 3 else "a.png") for i in range(24)])
    words = ["train", "tune", "--model", small, "--data", data, "--steps", 20, "--batch", 4, "--micro", 2, "--save", 0]
    words += ["--precision", "float32", "--held-out", 2, "--log-every", 1]

    def run(out: str, *start: str, more: tuple = ()) -> list[float]:
        command = [sys.executable, "-m", *start, "lavida.cli.main", *map(str, [*words, "--out", tmp_path / out, *more])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
        return [line["loss"] for line in events(tmp_path / out, "step")]

    two = ("torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m")
    one = run("one")
    assert len(one) == 20 and run("two", *two) == pytest.approx(one, rel=0, abs=1e-5)
    assert len(run("parts", *two, more=("--minutes", 0))) == 1
    assert run("parts") == pytest.approx(one, rel=0, abs=1e-5)


def test_what_comes_out_is_a_model(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    recipe = replace(QUICK, steps=1, rates=Rates(projector=1e-2))
    train(recipe, options(small, data, tmp_path / "run", precision="bfloat16"), say=quiet)
    (start,) = events(tmp_path / "run", "start")
    assert start["data"] == [str(data)] and start["model"] == str(small) and start["seed"] == 0
    before, after = lavida.load(small).net.state_dict(), lavida.load(tmp_path / "run" / "model").net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith(("projector", "newline")) for name in changed)
    assert read_config(survey(tmp_path / "run" / "model")) == read_config(survey(small))
    lavida.load(tmp_path / "run" / "model").ask(tmp_path / "data" / "a.png", "What is this?")


def test_adapters_learn_alone_and_are_merged(small, tmp_path):
    pytest.importorskip("peft")
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    train(replace(QUICK, steps=2), options(small, data, tmp_path / "run", lora=2), say=quiet)
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()
    before, after = lavida.load(small).net.state_dict(), lavida.load(tmp_path / "run" / "model").net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("denoiser.blocks") for name in changed)
    adapted = load_adapters(lavida.load(small).net, tmp_path / "run" / "adapter")
    merged = merge_adapters(adapted).state_dict()
    assert all(torch.allclose(merged[name], after[name], atol=1e-6) for name in changed)


def test_the_baseline_writes_from_left_to_right(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    recipe = replace(find_recipe("ar"), batch=4, steps=1)
    train(recipe, options(small, data, tmp_path / "run"), say=quiet)
    config = read_config(survey(tmp_path / "run" / "model"))
    assert config.denoiser.autoregressive and config.denoiser.logit_shift
    with pytest.raises(ConfigError, match="left to right"):
        trained_config(config, Objective())


def test_another_seed_is_another_run(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    train(QUICK, options(small, data, tmp_path / "run", minutes=0), say=quiet)
    with pytest.raises(ConfigError, match="begun with --seed 0, not 1"):
        train(QUICK, options(small, data, tmp_path / "run", seed=1), say=quiet)


def test_parts_learn_or_are_frozen():
    model = tiny_model(tiny_config(LITE0))
    held = thaw(model, {"denoiser", "projector"})
    assert set(held) == {"denoiser", "projector"}
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning and not any(name.startswith("tower") for name in learning)
    assert any(name.startswith("positions") for name in learning)
    with pytest.raises(ConfigError, match="trains tower and this model has none"):
        thaw(model, {"tower"})  # a light tower learns by an end of its own, and has none yet
    model.tower.adapt()
    thaw(model, {"tower"})
    assert {name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad} == {"adapted"}


def test_files_are_mixed_as_the_recipe_says(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i) for i in range(20)])
    recipe = replace(QUICK, mixture=(Portion(name="set", take=5, suffix=" /think"),))
    (one,) = mix(recipe, options(small, data, tmp_path, held_out=None)).ingredients
    assert one.take == 5 and one.held_out == 2 and one.suffix == " /think" and one.weight is None
    two = replace(options(small, data, tmp_path), data=(f"{data}=2", f"{data}=1"))
    assert [i.weight for i in mix(QUICK, two).ingredients] == [2.0, 1.0]


def test_sizes_that_do_not_divide_are_told(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    with pytest.raises(ConfigError, match="does not divide"):
        train(replace(QUICK, batch=5), options(small, data, tmp_path / "run"), say=quiet)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_one(name):
    recipe = RECIPES[name]
    assert recipe.name == name and recipe.rates.scaled(0.5)
    assert recipe.objective.autoregressive == (name == "ar")


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["nothing"], "unknown recipe 'nothing'"),
        (["tune"], "give --data FILE"),
        (["tune", "--data", "missing.jsonl"], "no such file"),
        (["tune", "--data", "x.jsonl", "--rule", "x"], "unknown sample rule"),
        (["tune", "--data", "x.jsonl", "--precision", "x"], "unknown precision"),
        (["tune", "--data", "x.jsonl", "--seed", str(2**70)], "at most 64 bits"),
        (["tune", "--data", "x.jsonl", "--epochs", "1", "--steps", "1"], "say the same"),
        (["tune", "--data", "x.jsonl", "--quantize", "int4"], "give --lora RANK"),
        (["tune", "--data", "x.jsonl", "--rate", "5"], "rates lie between 0 and 1"),
        (["tune", "--data", "x.jsonl", "--freeze", "head"], "unknown part 'head'"),
        (["align", "--data", "x.jsonl", "--freeze", "projector"], "at least one part learns"),
    ],
)
def test_mistakes_are_one_line(arguments, told, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1


def test_wrong_recipes_are_refused():
    with pytest.raises(ConfigError, match="at least one part learns"):
        Rates()
    with pytest.raises(ConfigError, match="batch and steps"):
        Recipe(name="x", rates=Rates(denoiser=1e-3), batch=0)
    with pytest.raises(RequestError, match="unknown recipe"):
        find_recipe("x")


def test_a_set_without_a_usable_sample_is_told(small, tmp_path):
    data = write_set(tmp_path / "data", [entry(i, answer="") for i in range(4)])
    with pytest.raises(DataError, match="in a row cannot be used"):
        train(QUICK, options(small, data, tmp_path / "run"), say=quiet)
