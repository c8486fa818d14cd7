"""Losses of tiny models of each family under each objective, recorded before the training step was rewritten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lavida.checkpoint.make_random import make_random
from lavida.train.finetune import Options
from lavida.train.launch import train
from lavida.train.recipes import Recipe, find_recipe
from lavida.train.trainer import Habits
from tests.tiny import save_tiny

# (family, recipe) -> losses of three steps and of the held-out sample, in float32 on a CPU.
RECORDED: dict[tuple[str, str], list[float]] = {
    ("lavida-mini", "finetune"): [7.109857, 7.099487, 7.072175, 7.093360],
    ("lavida-mini", "align"): [7.107954, 7.070692, 7.056866, 7.040212],
    ("lavida-mini", "fim"): [7.131733, 7.123276, 7.107594, 7.170872],
    ("lavida-mini", "ar"): [6.375003, 6.399191, 6.397543, 6.469245],
    ("lavida-mini", "tune"): [7.055575, 7.032608, 7.013857, 7.069245],
    ("lavida-mini", "llada-v-single"): [6.516086, 9.792299, 8.041121, 6.395748],
    ("lavida-llada", "finetune"): [6.278154, 6.272031, 6.593571, 6.821806],
    ("lavida-llada", "align"): [6.259804, 5.670669, 5.709061, 6.593461],
    ("lavida-llada", "fim"): [6.452684, 6.22916, 6.536647, 6.966541],
    ("lavida-llada", "ar"): [6.610395, 6.106103, 6.243281, 6.567723],
    ("lavida-llada", "tune"): [6.784941, 6.10564, 6.1959, 6.655970],
    ("lavida-llada", "llada-v-single"): [8.918608, 23.739631, 6.255462, 7.589061],
    ("lavida-dream", "finetune"): [5.973637, 6.301795, 5.984082, 6.281346],
    ("lavida-dream", "align"): [6.470992, 6.079889, 5.996545, 6.333687],
    ("lavida-dream", "ar"): [6.157845, 6.293173, 6.179446, 6.110760],
    ("lavida-dream", "tune"): [6.113639, 6.091154, 5.831504, 6.163624],
    ("lavida-dream", "llada-v-single"): [6.84443, 27.029826, 5.895857, 6.500519],
    ("llada-v", "finetune"): [6.109635, 6.349049, 6.565154, 6.703830],
    ("llada-v", "align"): [6.259804, 5.670669, 5.709061, 6.593461],
    ("llada-v", "fim"): [6.264795, 6.299385, 6.517868, 6.856852],
    ("llada-v", "ar"): [6.728777, 6.100926, 6.268635, 6.738846],
    ("llada-v", "tune"): [6.72444, 6.132522, 6.178903, 6.602909],
    ("llada", "finetune"): [5.876021, 6.092997, 6.044352, 6.057889],
    ("llada", "fim"): [6.077233, 6.256867, 6.249869, 6.251459],
    ("llada", "ar"): [6.265686, 6.233549, 6.218385, 6.185629],
    ("llada", "tune"): [6.275691, 5.978947, 5.989151, 5.874082],
    ("llada", "llada-v-single"): [6.31014, 6.497478, 7.363145, 5.543902],
    ("dream", "finetune"): [7.036651, 6.924689, 6.738137, 5.951535],
    ("dream", "ar"): [6.342207, 6.234616, 6.279016, 6.194378],
    ("dream", "tune"): [6.423704, 6.581174, 6.250878, 5.875822],
    ("dream", "llada-v-single"): [5.707483, 5.83274, 6.15727, 6.197707],
}
DEFAULT_RUN = {
    "lavida-mini": "tune",
    "lavida-llada": "fim",
    "lavida-dream": "finetune",
    "llada-v": "ar",
    "dream": "llada-v-single",
}
FAMILIES = ("lavida-mini", "lavida-llada", "lavida-dream", "llada-v", "llada", "dream")
RECIPES = ("finetune", "align", "fim", "ar", "tune", "llada-v-single")


def write_set(folder: Path, *, pictures: bool, every: bool) -> Path:
    folder.mkdir()
    for i, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (40 + 30 * i, 60), colour).save(folder / f"{colour}.png")
    entries = []
    for i in range(9):
        shown = {"image": f"{('red', 'green', 'blue')[i % 3]}.png"} if pictures and (i % 4 or every) else {}
        words = ["What is this?", f"a ball and {i} little cats on one mat", "Where?", "on the left of it"]
        roles = ("human", "gpt") * 2
        turns = [{"from": role, "value": text} for role, text in zip(roles, words)]
        entries.append({"conversations": turns[: 2 + 2 * (i % 2)]} | shown)
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def losses(family: str, name: str, folder: Path) -> list[float]:
    if family == "lavida-mini":
        model = save_tiny(folder / "model")
    else:
        model = folder / "model"
        make_random(family, "tiny", model)
    text_only = family in ("llada", "dream")
    data = write_set(folder / "data", pictures=not text_only, every=name == "align")
    recipe: Recipe = replace(find_recipe(name), batch=4, steps=3, warmup=0.0)
    options = Options(
        model=str(model), data=(str(data),), out=folder / "run", micro=2, precision="float32",
        habits=Habits(log=1, save=1e9), held_out=1,
    )  # fmt: skip
    assert train(recipe, options, say=lambda line: None)
    events = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    return [event["loss"] for event in events if event["event"] in ("step", "eval")]


CASES = [
    pytest.param(family, name, marks=() if DEFAULT_RUN.get(family) == name else pytest.mark.slow)
    for family, name in RECORDED
]


@pytest.mark.parametrize("family, name", CASES)
def test_losses_are_those_recorded(family: str, name: str, tmp_path: Path) -> None:
    # Logs round to six digits; another CPU's order of additions may differ in the last of them.
    assert losses(family, name, tmp_path) == pytest.approx(RECORDED[family, name], abs=2e-6)
