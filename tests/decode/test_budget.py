"""What a quality or a deadline comes to, given a table."""

from __future__ import annotations

import re

import pytest

from lavida.decode.budget import Setting, Target, choose_setting, seconds, split_target
from lavida.decode.calibration import Calibration, Quality, Speed, Trial
from lavida.decode.options import DecodeOptions
from lavida.errors import RequestError


def tried(quality: float, passes: float, **options) -> Trial:
    return Trial(options={"cache": "prefix", **options}, quality=quality, tokens=12.0, passes=passes)


SLOW = tried(1.0, 12, steps=16)
RULE = tried(0.995, 5, steps=16, threshold=0.9)
CAPPED = tried(0.97, 3.5, steps=4, threshold=0.9)
FOUR = tried(0.96, 4, steps=4)
ONE = tried(0.4, 1, steps=1)
SPEED = Speed(setup="here", words=0.05, picture=0.1, passes={"prefix": (0.008, 0.00025)})  # a pass of 16: 12 ms
TABLE = Calibration(
    model="m", quality=Quality(measure="likeness", length=16, tried=(SLOW, RULE, CAPPED, FOUR, ONE)), speeds=(SPEED,)
)


def choose(speed: Speed | None = SPEED, *, length: int = 16, pictures: int = 1, **target) -> Setting:
    return choose_setting(Target(**target), TABLE, speed, length=length, pictures=pictures)


@pytest.mark.parametrize("speed", [SPEED, None])
@pytest.mark.parametrize(("quality", "expected"), [("high", SLOW), ("balanced", RULE), ("fast", CAPPED)])
def test_a_quality_takes_the_fastest_that_is_good_enough(speed: Speed | None, quality: str, expected: Trial) -> None:
    chosen = choose(speed, quality=quality)
    assert chosen.options == {**expected.options, "length": 16} and chosen.quality == expected.quality
    if speed is None:
        assert chosen.seconds is None and "expected_seconds" not in chosen.to_json()
    else:
        assert chosen.seconds == pytest.approx(0.05 + 0.1 + expected.passes * 0.012)


@pytest.mark.parametrize(
    ("deadline", "expected"), [(10, SLOW), (0.35, SLOW), (0.34, CAPPED), (0.2, CAPPED), (0.19, ONE)]
)
def test_a_deadline_takes_the_best_whose_every_step_fits(deadline: float, expected: Trial) -> None:
    assert choose(deadline=deadline).options == {**expected.options, "length": 16}


def test_more_pictures_and_a_longer_canvas_leave_less_time() -> None:
    assert choose(deadline=0.35).options["steps"] == 16
    assert choose(deadline=0.35, pictures=2).options["steps"] == 4
    assert choose(deadline=0.35, length=32).options["steps"] == 8  # four steps of 16 tokens are eight of 32
    assert choose(deadline=0.35, length=2, pictures=0).options["steps"] == 2


def test_a_deadline_that_nothing_meets_is_refused_with_one_that_can_be_met() -> None:
    with pytest.raises(RequestError, match="in 100 ms here") as error:
        choose(deadline=0.1)
    allowed = int(re.search(r"allow (\d+) ms", str(error.value))[1])
    assert 162 <= allowed <= 163 and choose(deadline=allowed / 1000).options["steps"] == 1


def test_what_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(RequestError, match="lavida calibrate"):
        choose(None, deadline=1.0)
    with pytest.raises(RequestError, match="lavida calibrate"):
        choose_setting(Target(quality="fast"), Calibration(model="m"), SPEED, length=16, pictures=1)
    with pytest.raises(RequestError, match="cache 'none'"):
        SPEED.predict("none", 1, 16, 1)


def test_what_is_chosen_are_options_of_the_loop() -> None:
    for target in ({"quality": "balanced"}, {"deadline": 0.2}):
        options = DecodeOptions(**choose(**target).options)
        assert options.length == 16 and options.threshold == 0.9


@pytest.mark.parametrize(
    ("text", "value"), [("400ms", 0.4), ("1.5s", 1.5), (" 2 s ", 2), ("0.3", 0.3), (0.25, 0.25), (1, 1), (1e-5, 1e-5)]
)
def test_times_are_read(text: str | float, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "soon", "5 min", "1.2.3s", "-1s", "ms", "nan"])
def test_other_words_are_no_time(text: str) -> None:
    with pytest.raises(RequestError, match="400ms"):
        seconds(text)


def test_a_wish_is_split_from_the_options() -> None:
    assert split_target({"seed": 3, "quality": None}) == (None, {"seed": 3})
    assert split_target({"quality": "fast", "length": 8, "steps": None}) == (
        Target(quality="fast"), {"length": 8, "steps": None}
    )  # fmt: skip
    assert split_target({"deadline": "400ms"})[0] == Target(deadline=0.4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quality": "fast", "deadline": 1.0}, "exclude each other"),
        ({"quality": "best"}, "high, balanced, fast"),
        ({"deadline": 0.0}, "above 0"),
        ({"deadline": "1e999s"}, "above 0"),
        ({"quality": "fast", "steps": 4}, "quality chooses steps.*leave out steps"),
        ({"deadline": "1s", "cache": "none"}, "deadline chooses steps.*leave out cache"),
    ],
)
def test_wishes_that_cannot_be_are_refused(options: dict, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        split_target(options)
