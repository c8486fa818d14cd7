from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lavida
from lavida import engine as engine_module
from lavida.api import Model
from lavida.decode.batch_invariance import BatchInvariance
from lavida.decode.context import PrefixContext
from lavida.decode.driver import _grouped
from lavida.decode.loop import Step
from lavida.decode.prompt import Prompt
from lavida.decode.request import make_request, turns_of
from lavida.engine import Engine, answers_at_once, bytes_per_token
from lavida.errors import CheckpointError, ImageError, RequestError
from tests.pictures import gradient
from tests.tiny import tiny_model

PICTURES = [gradient(60 + 10 * i, 50) for i in range(3)]
QUESTIONS = ["What is this?", "Describe the image.", "Where is the red ball, left or right?"]
MIXED = [
    {"length": 8, "temperature": 1.0, "seed": 1},
    {"length": 14, "steps": 5},
    {"length": 16, "block": 8, "steps": 6, "remasking": "entropy"},
    {"length": 12, "cache": "none", "steps": 4},
    {"length": 5, "temperature": 0.5, "seed": 7, "top_k": 20},
    {"length": 24, "threshold": 0.02},
    {"length": 13, "steps": 4, "schedule": "cosine", "remasking": "margin"},
    {"length": 1},
]
Request = tuple[int, int, dict[str, object]]  # picture, question, options


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def _alone(model: Model, requests: list[Request]) -> list[tuple[tuple[int, ...], int]]:
    answers = [model.ask(PICTURES[i], QUESTIONS[j], early_stop=False, **options) for i, j, options in requests]
    return [(answer.ids, answer.steps) for answer in answers]


def _submit(engine: Engine, request: Request) -> lavida.engine.Ticket:
    i, j, options = request
    return engine.submit(PICTURES[i], QUESTIONS[j], early_stop=False, **options)


def _counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[int]:
    """The length of the first argument of each call; measurements of the engine itself left out."""
    function: Callable = getattr(owner, name)
    calls: list[int] = []

    def counted(first, *more, **named):
        if "depth" not in named:
            calls.append(len(first))
        return function(first, *more, **named)

    monkeypatch.setattr(owner, name, counted)
    return calls


@pytest.mark.parametrize("threads", [1, 2])
def test_mixed_requests_get_the_answers_they_get_alone(
    threads: int, model: Model, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(threads)
    requests = [(i % 3, i % 2, options) for i, options in enumerate(MIXED)]
    wanted = _alone(model, requests)
    model.forget()
    engine = Engine(model)
    together = _counted(monkeypatch, model.net.denoiser, "forward_ragged")
    tickets = [_submit(engine, request) for request in requests[:5]]
    for late in requests[5:]:  # these come in while the others are being written
        engine.turn()
        tickets.append(_submit(engine, late))
    got = [(answer.ids, answer.steps) for answer in (ticket.result() for ticket in tickets)]
    assert got == wanted
    assert max(together) >= 4 and len(together) < 0.7 * sum(together)  # short canvases go alone on two threads
    assert len({ids for ids, _ in got}) == len(got)  # equal answers would prove nothing


PIECES = [  # of a request; many go together, and what does not is refused either way
    {"temperature": 0.5},
    {"temperature": 1.0, "top_p": 0.8},
    {"temperature": 0.7, "top_k": 9},
    {"sharp_confidence": True, "top_k": 5},
    {"remasking": "margin"},
    {"remasking": "entropy"},
    {"remasking": "entropy", "entropy_bound": 5.0},
    {"remasking": "random"},
    {"threshold": 0.02},
    {"factor": 1.5},
    {"revise": 0.01},
    {"selection_temperature": 1.0},
    {"guidance": 1.5},
    {"schedule": "cosine"},
    {"schedule": "even"},
    {"early_stop": False},
    {"cache": "none"},
    {"cache": "prefix"},
    {"cache": "dual"},
    {"cache": "block"},
    {"compat": "official"},
    {"seed": 3},
    {"regex": "[a-c ]{1,6}"},
    {"choices": ("a cat", "one red ball")},
]


@st.composite
def _options(draw: st.DrawFn) -> dict[str, object]:
    length = draw(st.integers(1, 20))
    chosen: dict[str, object] = {"length": length}
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=3)):
        chosen |= piece
    blocks = 1
    if draw(st.booleans()):
        chosen["block"] = draw(st.integers(1, length))
        blocks = -(-length // chosen["block"])
    if draw(st.booleans()):
        chosen["steps"] = draw(st.integers(blocks, length))
    return chosen


REQUESTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), _options()), min_size=3, max_size=6)


def _outcome(answer: Callable[[], lavida.api.Answer]) -> tuple | str:
    try:
        found = answer()
    except RequestError as error:
        return str(error)
    return found.ids, found.steps, found.text


def _submitted(engine: Engine, request: Request) -> Callable[[], lavida.api.Answer]:
    i, j, options = request
    try:
        return engine.submit(PICTURES[i], QUESTIONS[j], **options).result
    except RequestError as error:
        return lambda refused=error: (_ for _ in ()).throw(refused)


def _check(model: Model, requests: list[Request]) -> None:
    wanted = [_outcome(lambda r=r: model.ask(PICTURES[r[0]], QUESTIONS[r[1]], **r[2])) for r in requests]
    engine = Engine(model, most=4, rows=64)
    assert [_outcome(one) for one in [_submitted(engine, request) for request in requests]] == wanted


EACH = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@settings(EACH, max_examples=12)
@given(requests=REQUESTS)
def test_any_mix_is_refused_or_answered_as_alone(model: Model, requests: list[Request]) -> None:
    _check(model, requests)


@pytest.mark.parametrize("family", ["lavida-dream", "lavida-llada"])
@settings(EACH, max_examples=4)
@given(requests=REQUESTS)
def test_any_mix_in_the_published_families(
    family: str, random_folders: dict[str, Path], requests: list[Request], loaded: dict[str, Model]
) -> None:
    if family not in loaded:
        loaded[family] = lavida.load(random_folders[family])
    _check(loaded[family], requests)


@pytest.mark.slow
@settings(EACH, max_examples=300)
@given(requests=REQUESTS, shared_image=st.booleans())
def test_many_mixes(requests: list[Request], shared_image: bool, loaded: dict[str, Model]) -> None:
    if str(shared_image) not in loaded:
        loaded[str(shared_image)] = tiny_model(shared_image=shared_image)
    _check(loaded[str(shared_image)], requests)


@pytest.fixture(scope="module")
def loaded() -> dict[str, Model]:
    return {}


@pytest.mark.parametrize("shared_image", [True, False])
def test_what_was_seen_is_not_computed_again(shared_image: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(shared_image=shared_image)
    looks = _counted(monkeypatch, model.net, "look")
    prefills: list[int] = []
    close, prefill = PrefixContext._close, model.net.prefill
    monkeypatch.setattr(PrefixContext, "_close", lambda *args: prefills.append(1) or close(*args))
    monkeypatch.setattr(model.net, "prefill", lambda *args, **named: prefills.append(1) or prefill(*args, **named))
    engine = Engine(model)
    options = {"length": 4, "cache": "prefix"}
    engine.submit(PICTURES[0], QUESTIONS[0], **options).result()
    before = len(prefills)
    engine.submit(PICTURES[0].copy(), QUESTIONS[1], **options).result()  # a second question: the tower is skipped
    assert len(looks) == 1 and len(prefills) == before + 1
    engine.submit(PICTURES[0], QUESTIONS[0], seed=5, temperature=1.0, **options).result()  # the first: its pass too
    assert len(looks) == 1 and len(prefills) == before + 1
    engine.submit(PICTURES[1], QUESTIONS[0], **options).result()
    assert len(looks) == 2 and len(prefills) > before + 1


def test_a_request_that_fails_leaves_the_others_alone(model: Model) -> None:
    engine = Engine(model)
    wanted = model.ask(PICTURES[0], QUESTIONS[0], length=8)
    good = engine.submit(PICTURES[0], QUESTIONS[0], length=8)
    long = engine.submit(PICTURES[0], QUESTIONS[0], length=500, steps=2)
    with pytest.raises(RequestError, match="the model holds 512"):
        long.result()
    assert isinstance(long.exception(), RequestError) and good.result().ids == wanted.ids
    with pytest.raises(RequestError, match="unknown option"):
        engine.submit(PICTURES[0], QUESTIONS[0], colour="red")
    with pytest.raises(ImageError):
        engine.submit("no such picture.jpg", QUESTIONS[0])


def test_what_fails_for_all_fails_for_those_in_it_only(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, together = Engine(model, exact=False), model.net.denoiser.forward_ragged

    def scarce(passes: list, **named: object) -> list:
        if len(passes) > 1:
            raise MemoryError("no room")
        return together(passes, **named)

    monkeypatch.setattr(model.net.denoiser, "forward_ragged", scarce)
    doomed = [engine.submit(PICTURES[0], question, length=8) for question in QUESTIONS]
    assert all(isinstance(ticket.exception(), MemoryError) for ticket in doomed)
    assert engine.submit(PICTURES[0], QUESTIONS[0], length=8).result().steps > 0


def test_a_list_writes_fewer_answers_at_once_where_memory_is_short(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answers_at_once(model) == engine_module.AT_ONCE
    longest = bytes_per_token(model) * model.net.config.denoiser.max_length
    monkeypatch.setattr(engine_module, "BUDGET", 3 * longest)
    assert answers_at_once(model) == 3
    monkeypatch.setattr(engine_module, "BUDGET", 1)
    assert answers_at_once(model) == 1


def test_a_cancelled_request_leaves(model: Model) -> None:
    engine = Engine(model)
    kept, left = (engine.submit(PICTURES[0], QUESTIONS[0], length=12, early_stop=False) for _ in range(2))
    for _ in range(4):
        engine.turn()
    assert left.cancel() and left.cancelled()
    assert kept.result().steps == 12 and not engine.turn()


def test_the_drafts_are_those_of_a_stream(model: Model) -> None:
    engine = Engine(model)
    options = {"length": 8, "temperature": 1.0}
    other = engine.submit(PICTURES[1], QUESTIONS[1], length=20)
    drafts = list(engine.stream(PICTURES[0], QUESTIONS[0], **options))
    assert [d.pieces for d in drafts] == [d.pieces for d in model.stream(PICTURES[0], QUESTIONS[0], **options)]
    assert other.result().text == model.ask(PICTURES[1], QUESTIONS[1], length=20).text
    begun = engine.stream(PICTURES[0], QUESTIONS[0], **options)
    next(begun)
    begun.close()  # whoever stops reading gives up the answer
    assert not engine.turn()


@pytest.mark.parametrize("threaded", [False, True])
def test_requests_from_several_threads(model: Model, threaded: bool) -> None:
    engine = Engine(model)
    if threaded:
        engine.start()
    wanted = [ids for ids, _ in _alone(model, [(i % 3, 0, MIXED[i]) for i in range(4)])]
    got: dict[int, tuple[int, ...]] = {}

    def ask(i: int) -> None:
        got[i] = _submit(engine, (i % 3, 0, MIXED[i])).result().ids

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[i] for i in range(4)] == wanted
    engine.close()


def test_an_engine_with_a_thread_answers_by_itself_and_can_be_closed(model: Model) -> None:
    with Engine(model) as engine:
        tickets = [_submit(engine, (i % 3, 0, MIXED[i])) for i in range(4)]
        drafts = list(engine.stream(PICTURES[0], QUESTIONS[1], length=6, early_stop=False))
        dialogue = [
            {
                "role": "user",
                "content": [{"type": "image", "image": PICTURES[0]}, {"type": "text", "text": QUESTIONS[0]}],
            }
        ]
        chat = engine.submit_chat(dialogue, length=5)
    assert all(ticket.done() for ticket in tickets) and len(drafts) == 6
    assert [(t.result().ids, t.result().steps) for t in tickets] == _alone(
        model, [(i % 3, 0, MIXED[i]) for i in range(4)]
    )
    assert chat.result().ids == model.chat(dialogue, length=5).ids
    with pytest.raises(RequestError, match="was closed"):
        engine.submit(PICTURES[0], QUESTIONS[0])
    with pytest.raises(RequestError, match="was closed"):
        engine.start()


def test_an_engine_that_is_left_by_an_error_gives_up_its_answers(model: Model) -> None:
    with pytest.raises(ZeroDivisionError), Engine(model) as engine:
        ticket = engine.submit(PICTURES[0], QUESTIONS[0], length=400, early_stop=False)
        raise ZeroDivisionError
    assert ticket.cancelled() or ticket.done()


@pytest.mark.parametrize("threaded", [False, True])
def test_an_answer_that_fails_while_it_is_finished_fails_alone(
    model: Model, threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = model.ask(PICTURES[1], QUESTIONS[0], length=6).ids
    decode = model.tokenizer.decode
    broken = threading.Event()

    def once(*args: object, **named: object) -> str:
        if not broken.is_set():
            broken.set()
            raise OSError("the tokenizer is gone")
        return decode(*args, **named)

    monkeypatch.setattr(model.tokenizer, "decode", once)
    engine = Engine(model)
    first = engine.submit(PICTURES[0], QUESTIONS[0], length=2, early_stop=False)
    others = [engine.submit(PICTURES[1], QUESTIONS[0], length=6) for _ in range(2)]
    if threaded:
        engine.start()
    assert isinstance(first.exception(timeout=60), OSError)
    assert [ticket.result(timeout=60).ids for ticket in others] == [wanted, wanted]
    engine.close()


def test_a_model_that_computes_nan_says_so(model: Model) -> None:
    damaged = tiny_model()
    with torch.no_grad():
        damaged.net.denoiser.norm.weight[0] = torch.nan
    with pytest.raises(CheckpointError, match="computes NaN"):
        damaged.ask(PICTURES[0], QUESTIONS[0], length=4)
    ticket = Engine(damaged).submit(PICTURES[0], QUESTIONS[0], length=4)
    assert isinstance(ticket.exception(), CheckpointError)


def test_an_answer_may_lead_to_the_next_question(model: Model) -> None:
    engine = Engine(model)
    told: list[str] = []
    first = engine.submit(PICTURES[0], QUESTIONS[0], length=4)
    first.add_done_callback(lambda _: told.append(engine.submit(PICTURES[0], QUESTIONS[1], length=4).result().text))
    engine.run()
    assert told == [model.ask(PICTURES[0], QUESTIONS[1], length=4).text]


def test_waiting_has_an_end(model: Model) -> None:
    ticket = Engine(model).submit(PICTURES[0], QUESTIONS[0], length=16)
    with pytest.raises(TimeoutError, match="no answer within"):
        ticket.result(timeout=0)
    assert ticket.result(timeout=60).steps > 0


def test_an_engine_without_room_is_refused(model: Model) -> None:
    with pytest.raises(RequestError, match="at least one request"):
        Engine(model, most=0)


def test_a_request_that_is_made_already_is_taken(model: Model) -> None:
    engine = Engine(model)
    request = make_request(model.reader, turns_of(PICTURES[0], QUESTIONS[0]), {"length": 9, "steps": 3})
    seen: list[int] = []
    request.job.watch = lambda step: seen.append(step.index)
    ticket = engine.enter(request)
    assert ticket.result().ids == model.ask(PICTURES[0], QUESTIONS[0], length=9, steps=3).ids and seen == [0, 1, 2]
    prompt = request.job.prompt
    assert isinstance(prompt, Prompt) and prompt.length + 9 <= request.tokens


def test_an_answer_of_which_enough_is_written_ends(model: Model) -> None:
    engine = Engine(model)
    request = make_request(model.reader, turns_of(None, QUESTIONS[0]), {"length": 9})

    def watch(step: Step) -> None:
        request.job.enough = step.index == 3

    request.job.watch = watch
    answer = engine.enter(request).result()
    assert answer.steps == 4 and answer.ids.count(model.tokenizer.mask_id) == 5


def test_answers_side_by_side_share_a_budget_of_tokens(model: Model) -> None:
    engine = Engine(model, tokens=80)
    tickets = [engine.submit(None, QUESTIONS[0], length=length, early_stop=False) for length in (20, 20, 20, 100, 5)]
    assert [engine.ahead(ticket) for ticket in tickets] == [0, 1, 2, 3, 4]
    most = 0
    while engine.turn():
        most = max(most, len(engine._active))
        assert len(engine._active) <= 1 or sum(t.request.tokens for t in engine._active.values()) <= 80
    assert most > 1 and [len(ticket.result().ids) for ticket in tickets] == [20, 20, 20, 100, 5]
    assert [engine.ahead(ticket) for ticket in tickets] == [0] * 5


def test_companies_hold_what_is_steady_and_fits() -> None:
    def steady(count: int) -> bool:
        return count >= 4

    assert _grouped([8, 2, 8, 3, 16, 8, 100], steady, 32) == [[0, 2, 4], [5], [6], [1], [3]]
    assert _grouped([4, 4], lambda count: count != 8, 32) == [[0], [1]]
    assert _grouped([5, 6], lambda count: count != 16, 32) == [[0], [1]]  # filled up to 16 rows
    assert _grouped([], steady, 32) == []


def test_steady_is_what_does_not_depend_on_its_company() -> None:
    def last_bit(rows: torch.Tensor) -> torch.Tensor:
        return rows.double().sum(1) if len(rows) > 3 else rows.sum(1).double()

    rows = torch.rand(40, 300, generator=torch.Generator().manual_seed(0))
    steady = BatchInvariance(last_bit, rows)
    assert [steady(count) for count in (1, 3, 4, 40, 100)] == [False, False, True, True, True]
    by_place = BatchInvariance(lambda rows: rows + torch.arange(len(rows))[:, None], rows)
    assert not by_place(8)
