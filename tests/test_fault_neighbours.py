"""Neighbours of the faults that users of such tools meet, found by trying others of each kind."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lavida.api import Model, load
from lavida.cli.main import main
from lavida.constrain.template import Hole, Template
from lavida.data.samples import BrokenSample, read_sample
from lavida.data.sources import open_source
from lavida.errors import CheckpointError, ConfigError, DataError, ImageError, RequestError
from lavida.hf.model import LavidaForMaskedDiffusion
from lavida.hf.processor import LavidaProcessor
from lavida.image.load import open_image
from lavida.text.chat import TEMPLATES, render
from lavida.text.messages import read_messages
from lavida.train.recipes import find_recipe
from tests.data.sets import png, write_shard
from tests.pictures import gradient

Act = Callable[[Model], Any]


@pytest.fixture(scope="module")
def seeing(random_folders: dict[str, Path]) -> Model:
    return load(random_folders["lavida-llada"])


@pytest.fixture(scope="module")
def damaged(random_folders: dict[str, Path]) -> Model:
    model = load(random_folders["lavida-llada"])
    model.net.denoiser.norm.weight.data = torch.full_like(model.net.denoiser.norm.weight, torch.nan)
    return model


# Row 18: whatever asks a model that computes NaN.
@pytest.mark.parametrize(
    "act",
    [
        lambda m: m.ask(None, "What?", length=4, remasking="random"),
        lambda m: m.ask(None, "What?", length=4, remasking="random", temperature=1.0),
        lambda m: m.audit(gradient(), "a cat"),
        lambda m: m.revise(gradient(), "a cat"),
        lambda m: m.choose(None, "What?", ["a", "b"]),
        lambda m: m.choose(None, "What?", ["a cat on a mat in a house", "b"]),
        lambda m: m.log_likelihood(None, "What?", "a cat"),
        lambda m: m.infill(None, "a [M:0-2]"),
    ],
)
def test_nan_is_reported_by_every_method(act: Act, damaged: Model) -> None:
    with pytest.raises(CheckpointError, match="computes NaN"):
        act(damaged)


def test_a_prompt_longer_than_the_model_is_refused_before_it_is_read(
    seeing: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing.net, "prefill", lambda *_, **__: pytest.fail("the prompt was read"))
    with pytest.raises(RequestError, match="and the model holds"):
        seeing.ask(None, "a" * (seeing.net.config.denoiser.max_length + 1), length=4)


def test_a_hole_of_tokens_holds_more_than_the_space_before_it(seeing: Model) -> None:
    answer = seeing.ask(None, "What?", template=Template(parts=("It is", Hole(most=2), ".")))
    assert len(answer.text.strip()) > len("It is .")
    with pytest.raises(RequestError, match="loosen a hole"):  # no token of this tokenizer is a space and a letter
        seeing.ask(None, "What?", template=Template(parts=("It is", Hole(most=1), ".")))


# Row 9: addresses and arrays.
def test_data_addresses_as_programs_write_them() -> None:
    buffer = io.BytesIO()
    gradient().save(buffer, "PNG")
    text = base64.encodebytes(buffer.getvalue()).decode()  # a line break every 76 letters
    flat = text.replace("\n", "")
    urlsafe = base64.urlsafe_b64encode(buffer.getvalue()).decode()
    for address in (
        f"data:image/png;base64,{text}",
        f"data:image/png;BASE64,{flat}",
        f"data:image/png;base64,{flat.rstrip('=')}",
        f"DATA:;base64,{urlsafe}",
    ):
        assert open_image(address).size == gradient().size
        record = {"image": address, "caption": "A ramp."}
        assert read_sample(record, "set:0", Path).turns[0].parts[0].value == buffer.getvalue()
    with pytest.raises(ImageError, match="address is broken"):
        open_image("data:image/png;base64,!!!")


def test_file_addresses_and_an_empty_path(tmp_path: Path) -> None:
    gradient().save(tmp_path / "a b.png")
    for host in ("", "localhost"):
        address = f"file://{host}{tmp_path}/a%20b.png"
        assert open_image(address).size == gradient().size
        assert read_sample({"image": address, "caption": "A ramp."}, "set:0", Path).turns[0].parts[0].value == (
            tmp_path / "a b.png"
        )
    with pytest.raises(ImageError, match="path of a picture is empty"):
        open_image("")


def test_tensors_of_any_float_type_and_with_gradients() -> None:
    white = torch.ones(3, 16, 16)
    for tensor in (white.bfloat16(), white.half(), white.requires_grad_()):
        assert np.asarray(open_image(tensor)).min() == 255


# Row 10: nothing is learnt without its picture, and no caption is dropped.
@pytest.mark.parametrize("name", ["image_path", "img", "file_name", "image_url", "Picture"])
def test_a_picture_under_another_name_is_no_question_without_a_picture(name: str) -> None:
    with pytest.raises(BrokenSample, match=f"names a picture in '{name}'"):
        read_sample({name: "a.jpg", "question": "What?", "answer": "A cat."}, "set:0", Path)
    kept = {name: "a.jpg", "image": "b.jpg", "question": "What?", "answer": "A cat."}
    assert read_sample(kept, "set:0", Path).turns[0].parts[0].value == Path("b.jpg")
    assert read_sample({"image_id": 3, "question": "What?", "answer": "A cat."}, "set:0", Path)


def test_an_image_that_is_null_beside_others_does_no_harm() -> None:
    record = {"image": None, "images": ["a.jpg"], "question": "What?", "answer": "A cat."}
    assert read_sample(record, "set:0", Path).turns[0].parts[0].value == Path("a.jpg")


def test_endings_in_other_case_are_the_same_file_again(tmp_path: Path) -> None:
    files = {"a.jpg": png(30), "a.txt": b"One.", "a.JPG": png(31), "a.TXT": b"Two."}
    source = open_source(write_shard(tmp_path / "a.tar", files))
    found = [[part.value for turn in source[i].turns for part in turn.parts] for i in range(len(source))]
    assert [(values[0], values[-1]) for values in found] == [(png(30), "One."), (png(31), "Two.")]


@pytest.mark.parametrize("named", [["0.a.png", "0.b.png"], ["x/a.png", "x/b.png"]])
def test_pictures_of_a_shard_come_in_the_order_of_their_entry(named: list[str], tmp_path: Path) -> None:
    entry = {"images": named, "question": "What?", "answer": "A cat."}
    files = {"0.b.png": png(31), "0.a.png": png(30), "0.json": json.dumps(entry).encode()}
    (question, _) = open_source(write_shard(tmp_path / "a.tar", files))[0].turns
    assert [part.value for part in question.parts] == [png(30), png(31), "What?"]
    files["0.json"] = json.dumps(entry | {"images": ["one.png", "two.png"]}).encode()  # files of elsewhere
    (question, _) = open_source(write_shard(tmp_path / "b.tar", files))[0].turns
    assert [part.value for part in question.parts] == [png(31), png(30), "What?"]


def test_the_line_break_that_ends_a_caption_is_not_learnt(tmp_path: Path) -> None:
    source = open_source(write_shard(tmp_path / "a.tar", {"a.png": png(), "a.txt": b"A cat.\r\n"}))
    assert source[0].turns[1].parts[0].value == "A cat."


def test_two_texts_under_one_key_are_named(tmp_path: Path) -> None:
    files = {"x.1.jpg": png(30), "x.1.txt": b"One.", "x.2.jpg": png(31), "x.2.txt": b"Two."}
    source = open_source(write_shard(tmp_path / "a.tar", files))
    with pytest.raises(BrokenSample, match=r"has 1\.txt and 2\.txt"):
        source[0]


def test_a_picture_of_a_kind_that_is_not_read_is_named(tmp_path: Path) -> None:
    entry = json.dumps({"question": "What?", "answer": "A cat."}).encode()
    source = open_source(write_shard(tmp_path / "a.tar", {"a.heic": png(), "a.json": entry}))
    with pytest.raises(BrokenSample, match=r"a\.heic is of no kind"):
        source[0]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.tar", "a.parquet"])
def test_a_pointer_in_the_place_of_a_data_file_is_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(DataError, match="git-lfs pointer"):
        open_source(tmp_path / name)


# Messages.
def test_system_messages_stand_where_they_are_written() -> None:
    turns = read_messages(
        [
            {"role": "system", "content": "A."},
            {"role": "developer", "content": "B."},
            {"role": "user", "content": ["One?"]},
            {"role": "assistant", "content": "1"},
            {"role": "system", "content": "C."},
            {"role": "user", "content": "Two?"},
        ]
    )
    assert [turn.role for turn in turns] == ["system", "system", "user", "assistant", "system", "user"]
    assert "".join(render(turns, TEMPLATES["dream"])) == (
        "<|im_start|>system\nA.<|im_end|>\n<|im_start|>system\nB.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n"
        "<|im_start|>assistant\n1<|im_end|>\n<|im_start|>system\nC.<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert "".join(render(turns, TEMPLATES["lavida-mini"])) == (
        "<|user|>A.\nB.\nOne?<|assistant|>1<|eos|><|user|>C.\nTwo?<|assistant|>"
    )
    empty = read_messages([{"role": "system", "content": None}, {"role": "user", "content": "One?"}])
    assert "".join(render(empty, TEMPLATES["lavida-mini"])) == "<|user|>One?<|assistant|>"


# Row 16: as transformers' documentation shows.
def test_generate_takes_what_transformers_takes(random_folders: dict[str, Path]) -> None:
    folder = random_folders["lavida-llada"]
    processor, model = LavidaProcessor.from_pretrained(folder), LavidaForMaskedDiffusion.from_pretrained(folder)
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    content = [{"type": "image", "url": address}, {"type": "text", "text": "What?"}]
    given = dict(processor.apply_chat_template([{"role": "user", "content": content}], tokenize=True, return_dict=True))
    nothing = {"logits_processor": [], "stopping_criteria": None, "token_type_ids": None}
    one = model.generate(**given, max_new_tokens=2, **nothing)
    two = model.generate(inputs=given.pop("input_ids"), **given, max_new_tokens=2)
    assert torch.equal(one, two)
    with pytest.raises(RequestError, match="no prompt to answer"):
        model.generate(max_new_tokens=2)
    with pytest.raises(RequestError, match="stopping_criteria"):
        model.generate(one, max_new_tokens=2, stopping_criteria=[1])


@pytest.mark.parametrize("given", [{"epochs": float("nan")}, {"epochs": float("inf")}])
def test_a_recipe_of_no_finite_length_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="epochs above 0"):
        replace(find_recipe("tune"), **given)


def test_the_claim_of_an_error_before_processes_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error_file = tmp_path / "attempt" / "0" / "error.json"
    error_file.parent.mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(error_file))
    monkeypatch.setattr("lavida.train.failure.subprocess.Popen", lambda *_, **__: None)
    assert main(["train", "tune", "--data", "a.json", "--rate", "2"]) == 2
    assert "rates lie between" in json.loads(error_file.read_text())["message"]["message"]
    with pytest.raises(SystemExit):  # the others stay silent
        main(["train", "tune", "--data", "a.json", "--rate", "2"])


@pytest.mark.parametrize(
    "act",
    [
        lambda m: m.ask(None, 3),
        lambda m: m.choose(None, "What?", [1, 2]),
        lambda m: m.choose(None, "What?", [None]),
        lambda m: m.choose(None, "What?", ["a", "b"], rounds="x"),
        lambda m: m.infill(None, 3),
        lambda m: m.infill(None, "[M:1]", length="3"),
        lambda m: m.audit(gradient(), 3),
        lambda m: m.audit(gradient(), "a", length="x"),
        lambda m: m.audit(gradient(), "a", length=-3),
        lambda m: m.revise(gradient(), "a", doubt="x"),
        lambda m: m.revise(gradient(), "a", changes=1.5),
        lambda m: m.revise(gradient(), "a", length=None),
    ],
)
def test_values_of_other_types_are_one_line(act: Act, seeing: Model) -> None:
    with pytest.raises(RequestError) as error:
        act(seeing)
    assert "\n" not in str(error.value)
