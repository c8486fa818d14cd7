"""Pictures over HTTP: those of the library, in the form of OpenAI's client, bounded, and refused in one line."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

import lavida
from lavida.api import Model
from tests.pictures import gradient
from tests.serve.hostile import address, encoded
from tests.serve.live import Live, error_of, live

ROUTE = "/v1/images/generations"
ASKED = {"prompt": "a red bus", "size": "64x64", "steps": 3}


@pytest.fixture(scope="module")
def model(random_folders: dict[str, Path]) -> Model:
    return lavida.load(random_folders["mmada"])


@pytest.fixture(scope="module")
def server(model: Model) -> Iterator[Live]:
    with live(model) as running:
        yield running


def opened(data: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data["b64_json"])))


def test_the_official_client_gets_the_pictures_of_the_library(server: Live, model: Model) -> None:
    client = openai.OpenAI(base_url=f"http://{server.host}:{server.port}/v1", api_key="none")
    answer = client.images.generate(
        model="tiny",
        prompt="a red bus",
        size="64x64",
        n=2,
        extra_body={"steps": 3, "seed": 5},  # type: ignore[call-overload]
    )
    wanted = model.draw("a red bus", size=64, steps=3, count=2, seed=5)
    assert [opened({"b64_json": one.b64_json}).tobytes() for one in answer.data] == [d.image.tobytes() for d in wanted]


def test_a_part_of_a_picture_is_redrawn(server: Live, model: Model) -> None:
    picture, mask = gradient(64, 64), Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    shown = {"image": address(encoded(picture)), "mask": address(encoded(mask))}
    answer = server.post(ROUTE, ASKED | shown | {"output_format": "webp"}).json()
    assert opened(answer["data"][0]).format == "WEBP" and answer["size"] == "64x64" and answer["steps"] == 3
    answer = server.post(ROUTE, ASKED | shown).json()
    (wanted,) = model.draw("a red bus", image=picture, mask=mask.convert("RGB"), size=64, steps=3)
    assert opened(answer["data"][0]).tobytes() == wanted.image.tobytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": "60x64"}, "multiples of"),
        ({"size": "wide"}, "wide"),
        ({"n": 64, "size": "512"}, "too many pixels"),
        ({"schedule": "often"}, "unknown schedule"),
        ({"image": address(encoded(gradient()))}, "go together"),
        ({"response_format": "url"}, "b64_json"),
        ({"quality": "hd"}, "quality"),
        ({"model": "other"}, "other"),
        ({"refresh": 2}, "refresh"),
    ],
)
def test_what_cannot_be_drawn_is_refused(server: Live, change: dict[str, Any], words: str) -> None:
    answer = server.post(ROUTE, ASKED | change)
    assert 400 <= answer.status_code < 500 and words in error_of(answer)["message"]


def test_a_model_of_words_draws_nothing() -> None:
    with live() as words:
        answer = words.post(ROUTE, ASKED)
        assert answer.status_code == 400 and "MMaDA" in error_of(answer)["message"]
