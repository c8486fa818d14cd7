"""Pictures while they are drawn: every step, few pictures before the last, and those never most of the time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

import lavida
from lavida.api import Model
from lavida.draw import drafts as module
from lavida.draw.drafts import SHARE, Draft, drafts
from lavida.draw.options import DrawOptions
from lavida.draw.request import DrawRequest, Easel


@pytest.fixture(scope="module")
def model(random_folders: dict[str, Path]) -> Model:
    return lavida.load(random_folders["mmada"])


def request_of(model: Model, steps: int) -> DrawRequest:
    return model.draw_request("a red bus", options=DrawOptions(size=64, steps=steps, schedule="linear"))


def shown(found: list[Draft]) -> list[int]:
    return [one.sketch.step.index for one in found if one.image is not None]


def test_every_step_comes_and_the_last_has_no_picture(model: Model) -> None:
    request = request_of(model, 4)
    found = list(drafts(request, 3))
    assert [one.sketch.step.index for one in found] == [0, 1, 2, 3]
    assert found[0].image is not None and found[-1].image is None and found[0].image.size == (64, 64)
    assert 0 < found[0].showing <= found[0].seconds <= found[-1].seconds
    (wanted,) = model.draw("a red bus", size=64, steps=4, schedule="linear")
    assert request.drawing(0, 1.0).codes == wanted.codes
    assert shown(list(drafts(request_of(model, 4), 0))) == []


def test_pictures_divide_the_codes(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1.0)
    monkeypatch.setattr(Easel, "image", lambda *given: Image.new("RGB", (64, 64)))  # which takes no time
    assert shown(list(drafts(request_of(model, 16), 3))) == [3, 7, 11]  # a code a step
    assert shown(list(drafts(request_of(model, 2), 8))) == [0]


def test_pictures_that_take_long_are_left_out(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Easel.image
    monkeypatch.setattr(Easel, "image", lambda *given: (time.sleep(0.2), plain(*given))[1])
    found = list(drafts(request_of(model, 12), 8))
    assert shown(found)[0] == 0 and len(shown(found)) < 8  # the first is shown, and tells how long one takes
    later = [one for one in found if one.image is not None][1:]
    assert all(one.showing <= 2 * SHARE * one.seconds for one in later)
