"""Pictures while they are drawn: every step, few pictures before the last, and those never most of the time."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

import lavida
from lavida.api import Model
from lavida.draw.drafts import SHARE, drafts, evenly
from lavida.draw.options import DrawOptions
from lavida.draw.request import Easel


@pytest.fixture(scope="module")
def model(random_folders: dict[str, Path]) -> Model:
    return lavida.load(random_folders["mmada"])


def test_pictures_divide_the_steps() -> None:
    assert (evenly(3, 15), evenly(1, 4), evenly(0, 4), evenly(9, 3), evenly(2, 1)) == ([2, 6, 10], [1], [], [0, 1], [])


def test_every_step_comes_and_the_last_has_no_picture(model: Model) -> None:
    request = model.draw_request("a red bus", options=DrawOptions(size=64, steps=4))
    found = list(drafts(request, 3))
    assert [one.sketch.step.index for one in found] == [0, 1, 2, 3]
    assert found[0].image is not None and found[-1].image is None and found[0].image.size == (64, 64)
    assert found[0].showing <= found[0].seconds and found[-1].seconds >= found[0].seconds
    (wanted,) = model.draw("a red bus", size=64, steps=4)
    assert request.drawing(0, 1.0).codes == wanted.codes
    assert all(one.image is None and one.showing == 0 for one in drafts(replace(request, jobs=_again(model)), 0))


def _again(model: Model) -> tuple:
    return model.draw_request("a red bus", options=DrawOptions(size=64, steps=4)).jobs


def test_pictures_that_take_long_are_left_out(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Easel.image
    monkeypatch.setattr(Easel, "image", lambda *given: (time.sleep(0.2), plain(*given))[1])
    found = list(drafts(model.draw_request("a red bus", options=DrawOptions(size=64, steps=12)), 8))
    shown = [one for one in found if one.image is not None]
    assert len(shown) < 8 and found[0].image is not None  # the first is shown, and tells how long one takes
    assert all(one.showing <= SHARE * one.seconds + 0.3 for one in shown[1:])
