"""Answers held to a language, asked for as a user does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import lavida
from lavida.api import Model
from lavida.decode.driver import answer_steps
from lavida.decode.options import DecodeOptions
from lavida.decode.resolve import checked_options, constraint_for, decode_options
from lavida.errors import RequestError
from tests.pictures import gradient
from tests.tiny import tiny_model

FORM = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "count": {"type": "integer", "minimum": 3}},
    "required": ["name", "count"],
}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return gradient(90, 60)


@pytest.mark.parametrize("options", [{}, {"steps": 1}, {"steps": 3, "block": 8, "temperature": 1.0, "length": 24}])
def test_a_random_model_answers_by_the_regex(model: Model, picture: Image.Image, options: dict[str, object]) -> None:
    answer = model.ask(picture, "What is this?", regex=r" ?[a-c]+ é{2}\s*", **options)
    assert re.fullmatch(r" ?[a-c]+ é{2}\s*", answer.text)  # with the blanks at its ends


def test_a_schema_is_a_mapping_json_or_a_file(model: Model, picture: Image.Image, tmp_path: Path) -> None:
    file = tmp_path / "form.json"
    file.write_text(json.dumps(FORM))
    texts = {model.ask(picture, "?", schema=given, steps=2).text for given in (FORM, json.dumps(FORM), file)}
    (text,) = texts
    value = json.loads(text)
    assert value["count"] >= 3 and len(value["name"]) <= 5


def _options(model: Model, options: dict[str, object]) -> DecodeOptions:
    return checked_options(model.net.config, model.tokenizer, options)


def test_a_canvas_of_unstated_length_has_room(model: Model, picture: Image.Image) -> None:
    long = "a cat and a dog and a bird and an owl and one red ball"
    options = _options(model, {"choices": ["yes", long]})
    assert options.length == len(model.tokenizer.encode(long)) + 1
    assert _options(model, {"choices": ["yes"]}).length == 16
    shortest = constraint_for(model.net.config, model.tokenizer, _options(model, {"schema": FORM})).shortest()
    assert _options(model, {"schema": FORM}).length == 2 * shortest
    assert _options(model, {"choices": ["yes", long], "length": 5}).length == 5
    assert model.ask(picture, "?", choices=["yes", long], length=5).text == "yes"


def test_what_cannot_be_written_is_told_before_the_picture_is_opened(model: Model) -> None:
    for options, message in (
        ({"schema": FORM, "length": 9}, r"9 tokens cannot hold .* set length to \d+ or more"),
        ({"regex": "["}, "the regex is malformed"),
        ({"regex": "a", "choices": ["b"]}, "cannot go together"),
        ({"regex": "a", "stops": ((5,),)}, "leave out stops"),
        ({"regex": "a", "no_such": 1}, "unknown option 'no_such'.* regex, schema, choices, template"),
    ):
        with pytest.raises(RequestError, match=message):
            model.stream("no such file.jpg", "?", **options)


def test_the_stops_of_a_family_give_way(model: Model) -> None:
    assert decode_options({}, {"stops": ((7,),)}).stops == ((7,),)
    assert decode_options({"regex": "a"}, {"stops": ((7,),)}).stops == ()


def test_a_language_that_nothing_holds_to_is_refused(model: Model) -> None:
    options, prompt = _options(model, {"regex": "a"}), model.net.denoiser.embed(torch.tensor([[20, 21]]))
    with pytest.raises(RequestError, match="give its constraint"):
        next(answer_steps(model.net, [prompt], options))


def test_any_language_is_a_template(model: Model, picture: Image.Image) -> None:
    from lavida.constrain.language import regex_language

    assert model.ask(picture, "?", template=regex_language("x{4}")).text == "xxxx"


@pytest.mark.parametrize("family", ["llada", "dream", "lavida-llada", "lavida-dream", "llada-v"])
@pytest.mark.parametrize("steps", [1, 5])
def test_every_family_is_held(random_folders: dict[str, Path], photo: Path, family: str, steps: int) -> None:
    model = lavida.load(random_folders[family])
    shown = photo if model.net.config.vision is not None else None
    answer = model.ask(shown, "What is this?", regex="[a-c]{3,9} é", steps=steps, length=20)
    assert re.fullmatch("[a-c]{3,9} é", answer.text)
