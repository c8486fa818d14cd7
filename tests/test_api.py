"""The Python interface over a tiny random model."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lavida
from lavida.api import DESCRIBE, Model
from lavida.errors import CheckpointError, ImageError, LavidaError, RequestError
from tests.pictures import gradient
from tests.tiny import tiny_model

NOISY = {"length": 8, "temperature": 1.0}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def test_describe_is_the_standard_question(model: Model, photo: Path) -> None:
    answer = model.describe(photo, steps=4, length=8)
    assert answer.prompt == DESCRIBE and answer.image == str(photo)
    assert 1 <= answer.steps <= 4 and answer.seconds > 0 and len(answer.ids) == 8
    assert answer.text == model.ask(photo, DESCRIBE, steps=4, length=8).text
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.text = "other"


def test_tokens_per_forward_counts_the_answer_not_the_padding(model: Model, photo: Path) -> None:
    answer = model.ask(photo, "What?", length=8, steps=2)
    eos = model.tokenizer.eos_id
    written = answer.ids.index(eos) + 1 if eos in answer.ids else 8
    assert answer.tokens_per_forward == written / answer.steps


@pytest.mark.parametrize("shared_image", [True, False])
def test_stream_ends_with_the_answer_and_never_takes_back(shared_image: bool) -> None:
    model = tiny_model(shared_image=shared_image)
    drafts = list(model.stream(gradient(), "What is this?", **NOISY))
    for before, after in zip(drafts, drafts[1:], strict=False):
        kept = [(a, b) for a, b in zip(before.pieces, after.pieces, strict=True) if a is not None]
        assert all(a == b for a, b in kept)
    assert None not in drafts[-1].pieces and None in drafts[0].pieces
    answer = model.ask(gradient(), "What is this?", **NOISY)
    assert answer.text == drafts[-1].text and answer.ids == tuple(drafts[-1].step.canvas.tolist())


@pytest.mark.parametrize("shared_image", [True, False])
def test_a_remembered_picture_gives_the_same_answer(shared_image: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(shared_image=shared_image)
    look, looks = model.net.look, []
    monkeypatch.setattr(model.net, "look", lambda views: looks.append(1) or look(views))
    answers = [model.ask(gradient(), "What is this?", **NOISY) for _ in range(2)]
    model.ask(gradient(), "Where is it?", **NOISY)
    again = model.ask(gradient().copy(), "What is this?", **NOISY)
    assert len(looks) == 1 and answers[0].ids == answers[1].ids == again.ids
    fresh = tiny_model(shared_image=shared_image).ask(gradient(), "What is this?", **NOISY)
    assert fresh.ids == again.ids


def test_cached_and_recomputed_prefix_agree_with_a_shared_image(model: Model) -> None:
    cached = model.ask(gradient(), "What is this?", **NOISY)
    assert cached.ids == model.ask(gradient(), "What is this?", cache="none", **NOISY).ids


def test_pictures_are_forgotten_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    look, looks = model.net.look, []
    monkeypatch.setattr(model.net, "look", lambda views: looks.append(1) or look(views))
    model.ask(gradient(40), "What?", length=1)
    model.reader.store.budget = 2 * model.reader.store.size
    for width, seen in ((50, 2), (40, 2), (60, 3), (40, 3), (50, 4)):
        model.ask(gradient(width), "What?", length=1)
        assert len(looks) == seen and model.reader.store.size <= model.reader.store.budget
    model.forget()
    assert len(model.reader.store) == 0


def test_seed_and_threads(model: Model) -> None:
    texts = []
    threads = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            texts.append(model.ask(gradient(), "What?", seed=3, **NOISY).ids)
    finally:
        torch.set_num_threads(threads)
    assert texts[0] == texts[1] != model.ask(gradient(), "What?", seed=4, **NOISY).ids


def test_the_hint_is_part_of_the_prefix(model: Model) -> None:
    bare = Model(model.net, model.tokenizer)
    seen, without = (m.reader.images.encode(gradient(), m.net.config.tiles) for m in (model, bare))
    assert len(seen.tokens) > len(without.tokens)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": 3}, "unknown option 'step'; did you mean steps?"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 1000}, "steps must be 1 to length"),
        ({"length": 0}, "length must be 1"),
        ({"schedule": "quadratic"}, "unknown schedule 'quadratic'; choose one of"),
        ({"remasking": "luck"}, "unknown remasking"),
        ({"cache": "disk"}, "unknown cache"),
        ({"temperature": -1.0}, "temperature must be"),
        ({"block": 99}, "block must be"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_computed(model: Model, options: dict, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        model.stream(gradient(), "What?", **options)


def test_wrong_question_and_picture(model: Model) -> None:
    with pytest.raises(RequestError, match="question is empty"):
        model.ask(gradient(), "  ")
    with pytest.raises(RequestError, match="not valid Unicode"):
        model.ask(gradient(), "What\udc80?")
    with pytest.raises(ImageError, match="no such file"):
        model.describe("nowhere.png")
    with pytest.raises(RequestError, match="prompt and answer take"):
        model.ask(gradient(), "why " * 600)


@pytest.mark.parametrize("cache", ["prefix", "none"])
def test_answers_are_compared_by_their_likelihoods(model: Model, cache: str) -> None:
    answers = ["a cat", "one red ball on the left and a cat", "a"]
    found = [model.log_likelihood(gradient(), "What is this?", answer, cache=cache, seed=3) for answer in answers]
    lengths = [len(model.tokenizer.encode(answer)) + 1 for answer in answers]
    assert [one.tokens for one in found] == lengths and all(one.value < 0 for one in found)
    bare = model.log_likelihood(gradient(), "What is this?", answers[0], end=False, cache=cache)
    assert bare.tokens == lengths[0] - 1
    choice = model.choose(gradient(), "What is this?", answers, cache=cache, seed=3)
    assert [one.value for one in choice.likelihoods] == pytest.approx([one.value for one in found], rel=1e-5)
    assert sum(choice.probabilities) == pytest.approx(1) and choice.best == max(range(3), key=lambda i: found[i].value)


def test_wrong_likelihoods_are_refused(model: Model) -> None:
    with pytest.raises(RequestError, match="an answer is empty"):
        model.log_likelihood(gradient(), "What?", " ")
    with pytest.raises(RequestError, match="no answer to choose from"):
        model.choose(gradient(), "What?", [])
    with pytest.raises(RequestError, match="prefix or none, got 'dual'"):
        model.choose(gradient(), "What?", ["a"], cache="dual")


def test_load_reads_a_folder(tiny_folder: Path) -> None:
    model = lavida.load(tiny_folder)
    assert model.labels is not None and len(model.labels) == 1000
    assert model.ask(gradient(), "What?", **NOISY).ids == tiny_model().ask(gradient(), "What?", **NOISY).ids
    half = lavida.load(tiny_folder, dtype="bfloat16")
    assert half.describe(gradient(), length=4).steps >= 1


def test_load_packs_and_offloads(random_folders: dict[str, Path]) -> None:
    models = [lavida.load(random_folders["dream"], **how) for how in ({}, {"quantize": "int8"}, {"offload": True})]
    sizes = [sum(t.nbytes for t in model.net.denoiser.blocks.state_dict().values()) for model in models]
    assert sizes[1] < 0.6 * sizes[0] and sizes[2] == sizes[0]
    plain, packed, offloaded = (model.ask(None, "Who are you?", length=4) for model in models)
    assert plain.ids == offloaded.ids and len(packed.ids) == 4
    values = [model.log_likelihood(None, "Who are you?", "a cat").value for model in models]
    assert values[0] == values[2] and values[1] == pytest.approx(values[0], rel=0.05) and values[1] != values[0]


def test_load_refuses(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="unknown model 'nowhere'; give a folder"):
        lavida.load("nowhere")
    with pytest.raises(RequestError, match="unknown dtype 'int3'"):
        lavida.load(tiny_folder, dtype="int3")
    with pytest.raises(RequestError, match="threads must be at least 1"):
        lavida.load(tiny_folder, threads=0)
    with pytest.raises(RequestError, match="cannot use device 'warp'"):
        lavida.load(tiny_folder, device="warp")
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    for content in ("{", '{"0": "cat"}'):
        (tmp_path / "labels.json").unlink()
        (tmp_path / "labels.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"labels\.json"):
            lavida.load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(LavidaError):
        lavida.load(tmp_path)


def test_import_is_light_and_names_are_public() -> None:
    code = "import sys, json, lavida; print(json.dumps(['torch' in sys.modules, lavida.__version__, dir(lavida)]))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy, version, names = json.loads(out)
    assert not heavy and version and set(lavida.__all__) <= set(names)
    with pytest.raises(AttributeError):
        lavida.nothing  # noqa: B018


def test_a_stop_ends_the_text(model: Model) -> None:
    stop = model.ask(gradient(), "What?", **NOISY).ids[4]
    answer = model.ask(gradient(), "What?", stops=[[stop]], **NOISY)
    at = answer.ids.index(stop)
    assert answer.text == model.tokenizer.decode(answer.ids[:at]) != model.tokenizer.decode(answer.ids)


def test_a_question_without_chinese_is_answered_without_it() -> None:
    model, photo = lavida.load(), Path(lavida.__file__).parent / "assets" / "demo.jpg"
    chinese = set(model.tokenizer.chinese_ids)
    for seed in range(4):
        answer = model.ask(photo, "What is this?", temperature=4.0, seed=seed, length=32)
        assert chinese.isdisjoint(answer.ids)
    assert model.ask(photo, "这是什么？").text == "猫"


def test_forms_and_the_official_way_hold_whatever_they_hold(photo: Path) -> None:
    model = lavida.load()
    assert model.ask(photo, "What is it?", choices=["猫", "狗"]).text in ("猫", "狗")
    chinese = set(model.tokenizer.chinese_ids)
    wild = {"temperature": 4.0, "seed": 1, "compat": "official", "steps": 8}
    assert not chinese.isdisjoint(model.ask(photo, "What is it?", **wild).ids)
