"""Tiny models of every kind through the Auto classes, offline; the page's example is run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

import lavida
from lavida.errors import ConfigError, RequestError
from lavida.hf import LavidaConfig, LavidaForMaskedDiffusion, LavidaProcessor, register
from lavida.image.tiles import views
from tests import official_args
from tests.pictures import gradient

ROOT = Path(__file__).parent.parent.parent
SEES = ("lavida-llada", "lavida-dream", "lavida-fim", "lavida-reason", "lavida-lowres", "llada-v")
FEW = {"length": 6, "steps": 3}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def messages(sees: bool) -> list[dict]:
    shown = [{"type": "image", "image": gradient(90)}] if sees else []
    return [{"role": "user", "content": [*shown, {"type": "text", "text": "What is this?"}]}]


@pytest.mark.parametrize("kind", [*SEES, "llada", "dream"])
def test_auto_classes_answer_as_lavida_does(kind: str, random_folders: dict[str, Path]) -> None:
    folder = random_folders[kind]
    ours = lavida.load(folder, dtype="float32")
    config = AutoConfig.from_pretrained(folder)
    assert isinstance(config, LavidaConfig) and config.vlm == ours.net.config
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
    assert isinstance(processor, LavidaProcessor) and isinstance(model, LavidaForMaskedDiffusion) and not model.training
    dialogue = messages(kind in SEES)
    inputs = processor.apply_chat_template(
        dialogue, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    output, answer = model.generate(**inputs, **FEW, return_dict_in_generate=True), ours.chat(dialogue, **FEW)
    length = inputs["input_ids"].shape[1]
    assert torch.equal(output.sequences[:, :length], inputs["input_ids"])
    assert tuple(output.sequences[0, length:].tolist()) == answer.ids
    assert output.tokens_per_forward.tolist() == [answer.tokens_per_forward] and output.steps.tolist() == [answer.steps]


def test_our_own_layout_with_a_hint_and_a_shared_image(tiny_folder: Path) -> None:
    ours = lavida.load(tiny_folder)
    processor = AutoProcessor.from_pretrained(tiny_folder)
    model = AutoModel.from_pretrained(tiny_folder)
    inputs = processor.apply_chat_template(messages(True), tokenize=True, return_dict=True)
    answers = model.generate(**inputs, length=8, temperature=1.0)[0, -8:]
    assert tuple(answers.tolist()) == ours.chat(messages(True), length=8, temperature=1.0).ids


def test_a_golden_checkpoint_without_tokenizer_gives_the_official_ids() -> None:
    folder = ROOT / "tests" / "golden" / "lavida_generate"
    model = AutoModelForImageTextToText.from_pretrained(folder / "checkpoint", dtype="float32")
    case = json.loads((folder / "inputs.json").read_text())[1]
    official = json.loads((folder / "expected.json").read_text())[1]
    vlm = model.config.vlm
    pixels, grid = views(Image.open(folder / case["image"]), vlm.vision, vlm.tiles)
    output = model.generate(
        torch.tensor(case["input_ids"]),
        pixel_values=pixels,
        image_grids=torch.tensor([[grid.columns, grid.rows, grid.width, grid.height]]),
        **{k: v for k, v in asdict(official_args.lavida(case["args"])).items() if k != "language"},
        return_dict_in_generate=True,
    )
    assert output.sequences[0, -len(official["new_ids"]) :].tolist() == official["new_ids"]
    assert output.steps.tolist() == [official["n_forward_steps"]]


def test_what_is_saved_is_read_by_both(random_folders: dict[str, Path], tmp_path: Path) -> None:
    source = random_folders["lavida-llada"]
    model = AutoModelForImageTextToText.from_pretrained(source)
    model.save_pretrained(tmp_path)
    AutoProcessor.from_pretrained(source).save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path)
    weights, others = model.state_dict(), again.state_dict()
    assert weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)
    assert lavida.load(tmp_path).net.config == model.config.vlm == AutoConfig.from_pretrained(tmp_path).vlm


def test_a_configuration_alone_is_saved_and_built_from(random_folders: dict[str, Path], tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(random_folders["llada"])
    config.save_pretrained(tmp_path)
    again = LavidaConfig.from_pretrained(tmp_path)
    assert again.vlm == config.vlm and isinstance(again, LavidaConfig)
    built = AutoModelForImageTextToText.from_config(again)
    assert built.net.config == config.vlm and len(built.generate(torch.tensor([[1, 2]]), length=4)[0]) == 6
    (tmp_path / "config.json").write_text(json.dumps({**config.to_dict(), "wings": 2}))
    with pytest.raises(ConfigError, match="unknown field wings"):
        AutoConfig.from_pretrained(tmp_path)


def test_no_name_that_transformers_knows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"lavida", "llada", "Dream", "llava_llada", "llava_dream"} & set(CONFIG_MAPPING_NAMES)
    theirs = type("TheirConfig", (), {"model_type": "llada"})
    monkeypatch.setitem(CONFIG_MAPPING._extra_content, "llada", theirs)
    register()
    assert CONFIG_MAPPING["llada"] is theirs and CONFIG_MAPPING["lavida"] is LavidaConfig


@pytest.mark.parametrize(
    "given", [{"low_memory": True}, {"subfolder": "x"}, {"device_map": {"net": 0, "head": 1}}, {"dtype": "int3"}]
)
def test_arguments_that_would_be_ignored_are_refused(given: dict, random_folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError):
        LavidaForMaskedDiffusion.from_pretrained(random_folders["llada"], **given)
    with pytest.raises(RequestError, match="snapshot_download"):
        LavidaForMaskedDiffusion.from_pretrained("owner/name", token="secret")


def test_importing_lavida_imports_no_transformers() -> None:
    code = "import sys, lavida, lavida.cli.main; assert not {'transformers', 'lavida.hf'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_example_of_the_page_runs(
    random_folders: dict[str, Path], photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "transformers.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names = {"FOLDER": str(random_folders["lavida-llada"])}
    exec(example.replace('"photo.jpg"', repr(str(photo))), names)
    assert names["output"].shape == (1, names["inputs"]["input_ids"].shape[1] + 16)
    assert capsys.readouterr().out.startswith("[")
