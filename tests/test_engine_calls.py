"""Functions of the model that an engine calls: answers advance between their passes, and who leaves ends them."""

from __future__ import annotations

import threading
import time

import pytest

from lavida.api import Model
from lavida.decode.pause import pause
from lavida.engine import Engine, GivenUpError
from tests.pictures import gradient
from tests.tiny import tiny_model

PHOTO = gradient()
TEXT = "a [M:2] and a [M:1-3]"


def test_a_call_returns_what_the_model_returns() -> None:
    model = tiny_model()
    with Engine(model) as engine:
        infill = engine.call(lambda model: model.infill(PHOTO, TEXT)).result(60)
        audit = engine.call(lambda model: model.audit(PHOTO, "a cat")).result(60)
        failed = engine.call(lambda model: model.infill(PHOTO, "no hole")).exception(60)
    assert infill == tiny_model().infill(PHOTO, TEXT) and audit == tiny_model().audit(PHOTO, "a cat")
    assert "has no hole" in str(failed)


def test_answers_are_finished_while_a_call_goes_on_and_are_the_same() -> None:
    wanted = tiny_model().ask(PHOTO, "What is this?", steps=4).ids
    begun, over = threading.Event(), threading.Event()
    with Engine(tiny_model()) as engine:

        def long(model: Model) -> bool:
            begun.set()
            while not over.is_set():
                pause()
            return True

        call = engine.call(long)
        assert begun.wait(60)
        assert engine.submit(PHOTO, "What is this?", steps=4).result(60).ids == wanted
        assert not call.done()
        over.set()
        assert call.result(60)


def test_a_real_infill_lets_answers_in() -> None:
    model = tiny_model()
    with Engine(model) as engine:
        call = engine.call(lambda model: model.infill(PHOTO, " ".join(["a [M:1-8]"] * 4), alternatives=8))
        answer = engine.submit(PHOTO, "What is this?", steps=2)
        assert answer.result(60).steps == 2
        assert not call.done(), "the infill makes hundreds of passes, the answer two"
        call.cancel()


def test_a_call_that_nobody_waits_for_ends() -> None:
    with Engine(tiny_model()) as engine:
        begun = threading.Event()

        def endless(model: Model) -> None:
            begun.set()
            while True:
                pause()

        first, second = engine.call(endless), engine.call(endless)
        assert begun.wait(60)
        second.cancel()  # has not begun
        first.cancel()
        with pytest.raises(GivenUpError, match="given up"):
            first.result(60)
        assert second.cancelled() and engine.call(lambda model: 7).result(60) == 7


def test_an_engine_that_is_closed_ends_what_has_begun() -> None:
    engine = Engine(tiny_model()).start()
    begun = threading.Event()

    def endless(model: Model) -> None:
        begun.set()
        while True:
            pause()

    call = engine.call(endless)
    assert begun.wait(60)
    start = time.monotonic()
    engine.close(finish=False)
    assert time.monotonic() - start < 30 and isinstance(call.exception(0), GivenUpError)


def test_without_an_engine_there_is_no_pause() -> None:
    pause()
