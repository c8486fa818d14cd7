"""The service: its queue, its times, and what becomes of an answer that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from PIL import Image

from lavida.api import Model
from lavida.engine import bytes_per_token
from lavida.errors import RequestError
from lavida.serve.errors import BusyError, ClosingError, DeadlineError, FieldError, ServeError, UnknownModelError
from lavida.serve.reply import Reply
from lavida.serve.service import Queued, Service, Written
from lavida.serve.settings import Settings
from lavida.text.messages import Turn, read_messages
from tests.pictures import gradient
from tests.tiny import tiny_model

LONG = {"length": 400, "early_stop": False}
QUESTION = "What is this?"


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def turns(image: Image.Image | None = None) -> list[Turn]:
    shown = [] if image is None else [{"type": "image", "image": image}]
    return read_messages([{"role": "user", "content": [*shown, {"type": "text", "text": QUESTION}]}])


@asynccontextmanager
async def running(model: Model, **settings: Any) -> AsyncIterator[Service]:
    service = Service({"tiny": model}, Settings(**settings))
    service.start()
    try:
        yield service
    finally:
        await service.close()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))


def test_an_answer_is_that_of_ask(model: Model) -> None:
    picture = gradient(50, 40)

    async def work() -> None:
        async with running(model) as service:
            reply = await service.answer("tiny", turns(picture), {"steps": 3})
            wanted = model.ask(picture, QUESTION, steps=3)
            assert (reply.answer.ids, reply.text) == (wanted.ids, wanted.text)
            assert reply.usage.steps == 3 and reply.usage.completion == 16 and service.places == 0
            totals = service.find(None).totals
            assert (totals.answers, totals.steps, totals.tokens) == (1, 3, 16)
            with pytest.raises(RequestError, match="steps"):
                await service.answer("tiny", turns(picture), {"steps": 99})
            with pytest.raises(UnknownModelError):
                await service.answer("other", turns(picture), {})
            assert service.places == 0

    run(work)


def test_a_stream_tells_each_step(model: Model) -> None:
    async def work() -> None:
        async with running(model) as service:
            events = [event async for event in service.stream(None, turns(), {"length": 6})]
        kinds = [type(event) for event in events]
        assert kinds == [Queued, *[Written] * 6, Reply]

    run(work)


def test_who_stops_reading_gives_the_answer_up(model: Model) -> None:
    async def work() -> None:
        async with running(model) as service:
            async with aclosing(service.stream(None, turns(), LONG)) as events:
                first, second = await anext(events), await anext(events)
                assert isinstance(first, Queued) and isinstance(second, Written)
                request = first.request
            assert request.job.cancelled and service.places == 0
            await asyncio.sleep(0.3)
            steps = request.job.last.index
            await asyncio.sleep(0.3)
            assert request.job.last.index == steps < 399  # nobody computes it any more
            assert service.find(None).totals.gone == 1
            task = asyncio.ensure_future(service.answer(None, turns(), LONG))
            while not service.places:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert service.places == 0

    run(work)


def test_an_answer_that_takes_too_long_is_given_up(model: Model) -> None:
    async def work() -> None:
        async with running(model, timeout=2.0) as service:
            start = time.monotonic()
            with pytest.raises(DeadlineError):
                await service.answer(None, turns(), LONG, deadline=0.2)
            assert time.monotonic() - start < 1.5 and service.places == 0
            with pytest.raises(DeadlineError):
                await service.call(None, lambda model: time.sleep(0.5), deadline=0.1)
            for wrong in (0.0, -1.0, 2.1):
                with pytest.raises(FieldError, match="timeout"):
                    await service.answer(None, turns(), {}, deadline=wrong)
            assert service.find(None).totals.late == 2

    run(work)


def test_a_full_queue_refuses_and_says_when_to_come_again(model: Model) -> None:
    async def work() -> None:
        async with running(model, active=1, waiting=1) as service:
            tasks = [asyncio.ensure_future(service.answer(None, turns(), LONG)) for _ in range(2)]
            await asyncio.sleep(0.1)
            with pytest.raises(BusyError) as caught:
                await service.answer(None, turns(), {"length": 1})
            assert 1 <= caught.value.after <= 60 and caught.value.headers == {"Retry-After": str(caught.value.after)}
            async with aclosing(service.stream(None, turns(), {}, place=None)) as stream:
                with pytest.raises(BusyError):
                    await anext(stream)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert (await service.answer(None, turns(), {"length": 1})).usage.completion == 1
            with pytest.raises(BusyError):
                async with service.place(None, 3):
                    raise AssertionError("three places of two were given")

    run(work)


def test_who_waits_is_told_how_many_are_before_him(model: Model) -> None:
    async def work() -> None:
        async with running(model, active=1, keepalive=0.05) as service:
            tasks = [asyncio.ensure_future(service.answer(None, turns(), {**LONG, "length": 120})) for _ in range(3)]
            await asyncio.sleep(0.1)
            ahead = [e.ahead async for e in service.stream(None, turns(), {"length": 2}) if isinstance(e, Queued)]
            await asyncio.gather(*tasks)
            assert ahead[0] in (1, 2) and ahead[-1] == 0 and ahead == sorted(ahead, reverse=True)

    run(work)


def test_a_call_runs_between_the_steps(model: Model) -> None:
    async def work() -> None:
        async with running(model) as service:
            task = asyncio.ensure_future(service.answer(None, turns(), {"length": 40}))
            name = await service.call(None, lambda model: (model.name, threading.current_thread().name))
            assert name == ("tiny", "lavida-engine") and not task.done()
            with pytest.raises(RequestError, match="no hole"):
                await service.call(None, lambda model: model.infill(None, "no hole"))
            assert (await task).usage.completion == 40
            assert service.find(None).totals.calls == 1 and service.places == 0

    run(work)


def test_what_does_not_fit_into_memory_is_refused(model: Model) -> None:
    async def work() -> None:
        async with running(model, memory=100 * bytes_per_token(model)) as service:
            with pytest.raises(RequestError, match="memory"):
                await service.answer(None, turns(), {"length": 100})
            found = await asyncio.gather(*(service.answer(None, turns(), {"length": 20}) for _ in range(6)))
            assert [reply.usage.completion for reply in found] == [20] * 6

    run(work)


def test_it_finishes_what_it_began_and_takes_nothing_new(model: Model) -> None:
    async def work() -> None:
        async with running(model) as service:
            task = asyncio.ensure_future(service.answer(None, turns(), {"length": 60}))
            await asyncio.sleep(0.1)
            draining = asyncio.ensure_future(service.drain(30))
            await asyncio.sleep(0)
            with pytest.raises(ClosingError):
                await service.answer(None, turns(), {})
            assert await draining and (await task).usage.completion == 60
            late = Service({"tiny": model}, Settings())
            late.start()
            task = asyncio.ensure_future(late.answer(None, turns(), LONG))
            await asyncio.sleep(0.1)
            assert not await late.drain(0.05)
            await late.close()
            with pytest.raises(ServeError, match="stopped before"):
                await task

    run(work)


def test_a_fault_of_one_answer_is_no_other_ones(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with running(model) as service:
            with pytest.raises(RequestError, match="holds"):
                await service.answer(None, turns(gradient(40, 40)), {"length": 500})
            assert (await service.answer(None, turns(), {"length": 2})).usage.completion == 2
            totals = service.find(None).totals
            assert (totals.failed, totals.answers) == (1, 1)

    run(work)
