"""Pictures over HTTP: those of the library, in the form of OpenAI's client, bounded, and refused in one line."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

import lavida
from lavida.api import Model
from lavida.draw.options import DrawOptions
from tests.pictures import gradient
from tests.serve.hostile import HOSTILE, address, encoded
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
        ({"partial_images": 2}, "belongs to a stream"),
        ({"draft": True}, "belongs to a stream"),
        ({"stream": True, "n": 2}, "draws one picture"),
        ({"stream": True, "partial_images": 9}, "partial_images"),
        ({"stream": True, "size": "60x64"}, "multiples of"),
        ({"stream": True, "image": address(encoded(gradient()))}, "go together"),
        ({"stream": True, "prompt": "bus " * 2000}, "it takes|letters|tokens"),
        ({"stream": True, "size": "4096x1024"}, "make it smaller"),
    ],
)
def test_what_cannot_be_drawn_is_refused(server: Live, change: dict[str, Any], words: str) -> None:
    answer = server.post(ROUTE, ASKED | change)
    assert 400 <= answer.status_code < 500 and re.search(words, error_of(answer)["message"])
    assert server.service.places == 0


@pytest.mark.parametrize("name", ["bomb", "truncated", "svg", "moving", "broken", "file", "metadata"])
@pytest.mark.parametrize("field", ["image", "mask"])
def test_a_picture_that_is_none_is_refused(server: Live, name: str, field: str) -> None:
    shown, words = HOSTILE[name]
    pictures = {"image": address(encoded(gradient())), "mask": address(encoded(gradient()))} | {field: shown}
    answer = server.post(ROUTE, ASKED | pictures | {"stream": True})
    assert answer.status_code == 400 and words in error_of(answer)["message"]


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, each of which names its type."""
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream"), answer.text
    *blocks, end = answer.text.strip().split("\n\n")
    assert end == "data: [DONE]"
    found = []
    for block in blocks:
        head, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert head == f"event: {found[-1]['type']}"
    return found


def test_a_stream_shows_every_step_and_ends_with_the_picture_of_the_library(server: Live, model: Model) -> None:
    asked = ASKED | {"seed": 5, "steps": 4, "stream": True, "draft": True, "partial_images": 3}
    *told, last = events_of(server.post(ROUTE, asked))
    sketches = list(model.draw_request("a red bus", options=DrawOptions(size=64, steps=4, seed=5)).sketches())
    steps = [one for one in told if one["type"] == "lavida.step"]
    assert [one["open"] for one in steps] == [(s.codes < 0).nonzero()[:, 0].tolist() for s in sketches]
    assert [(one["index"], one["shape"]) for one in steps] == [(i, [4, 4]) for i in range(4)] and not steps[-1]["open"]
    pictures = [one for one in told if one["type"] == "image_generation.partial_image"]
    assert pictures and [one["partial_image_index"] for one in pictures] == list(range(len(pictures)))
    for one in pictures:
        sketch = sketches[one["lavida"]["index"]]
        assert opened(one).tobytes() == sketch.image().tobytes() and sketch.masked
    (wanted,) = model.draw("a red bus", size=64, steps=4, seed=5)
    assert last["type"] == "image_generation.completed" and opened(last).tobytes() == wanted.image.tobytes()
    assert last["lavida"] | {"seconds": 0, "showing": 0} == {
        "model": "tiny", "seed": 5, "steps": wanted.steps, "seconds": 0, "showing": 0,
    }  # fmt: skip
    asked_for = len(model.tokenizer.encode("a red bus")) + 4  # [t2i] <start> ... <end> [soi]
    assert last["usage"]["input_tokens"] == asked_for and last["usage"]["output_tokens"] == 16


def test_the_official_client_follows_a_stream(server: Live, model: Model) -> None:
    client = openai.OpenAI(base_url=f"http://{server.host}:{server.port}/v1", api_key="none")
    with client.images.generate(
        model="tiny", prompt="a red bus", size="64x64", stream=True, partial_images=2,  # type: ignore[call-overload]
        extra_body={"steps": 3, "seed": 5},
    ) as stream:  # fmt: skip
        *partial, last = list(stream)
    assert {type(one).__name__ for one in partial} == {"ImageGenPartialImageEvent"}
    (wanted,) = model.draw("a red bus", size=64, steps=3, seed=5)
    assert type(last).__name__ == "ImageGenCompletedEvent" and last.usage.output_tokens == 16
    assert opened({"b64_json": last.b64_json}).tobytes() == wanted.image.tobytes()


def test_a_part_is_redrawn_in_a_stream_too(server: Live, model: Model) -> None:
    picture, mask = gradient(64, 64), Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    shown = {"image": address(encoded(picture)), "mask": address(encoded(mask)), "stream": True, "draft": True}
    *steps, last = events_of(server.post(ROUTE, ASKED | shown))
    assert all(place % 4 < 2 for step in steps for place in step["open"])  # the left half
    assert last["usage"]["output_tokens"] == last["usage"]["input_tokens_details"]["image_tokens"] == 8
    (wanted,) = model.draw("a red bus", image=picture, mask=mask.convert("RGB"), size=64, steps=3)
    assert opened(last).tobytes() == wanted.image.tobytes()


LONG = {"prompt": "a red bus", "size": "512x512", "steps": 256, "stream": True, "draft": True}


def test_a_client_that_leaves_ends_the_drawing(server: Live) -> None:
    with httpx.stream("POST", server.url + ROUTE, json=LONG, timeout=60) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: lavida.step" and server.service.places == 1
    engine, begin = server.service.held["tiny"].engine, time.monotonic()
    while (server.service.places or engine._calling) and time.monotonic() - begin < 30:
        time.sleep(0.05)
    assert server.service.places == 0 and engine._calling is None


def test_a_deadline_ends_the_drawing(server: Live) -> None:
    *told, last = events_of(server.post(ROUTE, LONG | {"timeout": 2.0}))
    assert last["type"] == "error" and "not finished in time" in last["error"]["message"]
    assert {one["type"] for one in told} == {"lavida.step"} and server.service.places == 0


def test_others_are_answered_while_a_picture_is_drawn(server: Live) -> None:
    with httpx.stream("POST", server.url + ROUTE, json=LONG, timeout=60) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: lavida.step"
        asked = {"messages": [{"role": "user", "content": "hi"}], "length": 4, "steps": 2}
        assert server.post("/v1/chat/completions", asked).status_code == 200
        assert server.service.places == 1


def test_a_model_of_words_draws_nothing() -> None:
    with live() as words:
        answer = words.post(ROUTE, ASKED)
        assert answer.status_code == 400 and "MMaDA" in error_of(answer)["message"]
        streamed = words.post(ROUTE, ASKED | {"stream": True})
        assert streamed.status_code == 400 and "MMaDA" in error_of(streamed)["message"]
        assert words.get("/v1/models/tiny").json()["lavida"]["draws"] is False


def test_the_list_of_models_says_that_it_draws(server: Live) -> None:
    assert server.get("/v1/models/tiny").json()["lavida"]["draws"] is True
