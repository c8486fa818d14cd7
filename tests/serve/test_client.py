"""A real server, asked by OpenAI's own client."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

import lavida
from lavida.api import Model
from tests.pictures import gradient
from tests.serve.servers import Server, serving, shown

PICTURES = [gradient(60 + 10 * i, 50) for i in range(3)]
QUESTION = "What is this?"
MIXED: list[dict[str, Any]] = [
    {"length": 8, "temperature": 1.0, "seed": 1},
    {"length": 14, "steps": 5},
    {"length": 16, "block": 8, "steps": 6, "remasking": "entropy"},
    {"length": 12, "cache": "none", "steps": 4},
    {"length": 5, "temperature": 0.5, "seed": 7, "top_k": 20},
    {"length": 24, "threshold": 0.02},
    {"length": 13, "steps": 4, "schedule": "cosine", "remasking": "margin"},
    {"length": 1},
    {"length": 9, "guidance": 1.5},
    {"length": 20, "revise": 0.01},
    {"length": 10, "temperature": 0.7, "top_p": 0.8, "seed": 3},
    {"length": 15, "remasking": "random", "seed": 5},
    {"regex": "[a-c ]{1,6}"},
    {"choices": ["a cat", "one red ball"]},
    {"length": 11, "factor": 1.5},
    {"length": 18, "early_stop": False, "selection_temperature": 1.0},
]


class Pet(BaseModel):
    kind: str
    count: int


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return lavida.load(tiny_folder)


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[Server]:
    with serving("--model", str(tiny_folder)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


def chat(client: openai.OpenAI, messages: list[dict[str, Any]], **options: Any) -> Any:
    return client.chat.completions.create(model="tiny0", messages=messages, **options)  # type: ignore[call-overload]


@pytest.fixture(autouse=True, scope="module")
def _name(client: openai.OpenAI) -> None:
    """The model is called by the name of its folder."""
    assert [one.id for one in client.models.list()] == ["tiny0"]


def test_a_picture_is_asked_about(client: openai.OpenAI, model: Model) -> None:
    wanted = model.ask(PICTURES[0], QUESTION, steps=4)
    first, again = (chat(client, shown(QUESTION, PICTURES[0]), extra_body={"steps": 4}) for _ in range(2))
    choice = first.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", wanted.text)
    assert tuple(choice.lavida["ids"]) == wanted.ids and choice.lavida["steps"] == 4
    assert choice.finish_reason == "length" and first.object == "chat.completion" and first.model == "tiny0"
    usage = first.usage
    assert usage.prompt_tokens > usage.prompt_tokens_details.image_tokens >= 80
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.completion_tokens == 16
    assert usage.lavida["tokens_per_forward"] == 4 and usage.lavida["steps"] == 4
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert again.usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens


def test_several_pictures_and_turns_are_read(client: openai.OpenAI, model: Model) -> None:
    dialogue = [
        {"role": "system", "content": "Be brief."},
        *shown("Which is larger?", *PICTURES[:2]),
        {"role": "assistant", "content": "The second."},
        {"role": "user", "content": QUESTION},
    ]
    parts = [{"type": "image", "image": picture} for picture in PICTURES[:2]]
    asked = {"role": "user", "content": [*parts, {"type": "text", "text": "Which is larger?"}]}
    wanted = model.chat([dialogue[0], asked, *dialogue[2:]])
    got = chat(client, dialogue)
    assert tuple(got.choices[0].lavida["ids"]) == wanted.ids


def test_a_stream_adds_up_to_the_answer(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"max_tokens": 20, "temperature": 1.0, "seed": 4}
    whole = chat(client, shown(QUESTION, PICTURES[1]), **options)
    chunks = list(
        chat(
            client,
            shown(QUESTION, PICTURES[1]),
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"draft": True},
            **options,
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant" and {delta.role for delta in deltas[1:]} == {None}
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason and set(reasons[:-1]) == {None}
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    drafts = [chunk.lavida for chunk in chunks if "lavida" in chunk.model_extra]
    assert [draft["step"] for draft in drafts] == list(range(whole.usage.lavida["steps"]))
    assert None in drafts[0]["pieces"] and None not in drafts[-1]["pieces"]


def test_plain_streams_hold_nothing_but_openais_keys(server: Server) -> None:
    body = {"messages": shown(QUESTION, PICTURES[0]), "stream": True}
    lines = httpx.post(server.url + "v1/chat/completions", json=body, timeout=60).text.splitlines()
    assert lines[-2] == "data: [DONE]" and not [line for line in lines if line.startswith("event:")]
    assert not [line for line in lines if '"lavida"' in line]


def test_streams_of_several_answers_are_told_apart(client: openai.OpenAI, model: Model) -> None:
    got = {0: "", 1: "", 2: ""}
    for chunk in chat(client, shown(QUESTION, PICTURES[2]), stream=True, n=3, temperature=1.0, seed=8):
        got[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    wanted = [model.ask(PICTURES[2], QUESTION, temperature=1.0, seed=8 + i).text for i in range(3)]
    assert list(got.values()) == wanted and len(set(wanted)) == 3


def test_parse_returns_an_object(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="tiny0", messages=shown("How many?", PICTURES[0]), response_format=Pet, seed=1
    )
    found = parsed.choices[0].message.parsed
    assert isinstance(found, Pet) and parsed.choices[0].finish_reason == "stop"
    same = client.responses.parse(model="tiny0", input="How many cats?", text_format=Pet)
    assert isinstance(same.output_parsed, Pet) and same.status == "completed"


def test_the_streaming_helper_parses_too(client: openai.OpenAI) -> None:
    asked = {"model": "tiny0", "messages": shown("How many?", PICTURES[0]), "seed": 1}
    with client.chat.completions.stream(response_format=Pet, **asked) as stream:  # type: ignore[arg-type]
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        done = stream.get_final_completion().choices[0]
    assert isinstance(done.message.parsed, Pet) and "".join(deltas) == done.message.content
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="tiny0", input="How many?", stream=True)
    assert caught.value.param == "stream"


def test_responses_read_pictures(client: openai.OpenAI, model: Model) -> None:
    (message,) = shown(QUESTION, PICTURES[0])
    picture, text = message["content"]
    parts = [
        {"type": "input_image", "image_url": picture["image_url"]["url"], "detail": "auto"},
        {"type": "input_text", "text": text["text"]},
    ]
    got = client.responses.create(
        model="tiny0", input=[{"role": "user", "content": parts}], max_output_tokens=7, temperature=0
    )
    assert got.output_text == model.ask(PICTURES[0], QUESTION, length=7).text
    assert got.status == "incomplete" and got.incomplete_details.reason == "max_output_tokens"
    assert got.usage.output_tokens == 7


def test_a_json_object_is_one(client: openai.OpenAI) -> None:
    import json

    got = chat(client, shown("Read it.", PICTURES[0]), response_format={"type": "json_object"}, temperature=1, seed=2)
    assert isinstance(json.loads(got.choices[0].message.content), dict)


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "not supported"),
        ({"presence_penalty": 0.5}, "presence_penalty", "not supported"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "not supported"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens", "say the same"),
        ({"n": 2}, "n", "the same"),
        ({"n": 17, "temperature": 1}, "n", "at most 16"),
        ({"extra_body": {"stepz": 3}}, "stepz", "did you mean steps?"),
        ({"extra_body": {"steps": 99}}, "steps", "1 to length (16)"),
        ({"extra_body": {"max_new_tokens": 9}}, "max_new_tokens", "did you mean length?"),
        ({"temperature": 11}, "temperature", "less than or equal to 10"),
        ({"extra_body": {"schema": "/etc/passwd"}}, "schema", "unknown field"),
        ({"top_p": 0.5}, "top_p", "temperature"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "set stream"),
        ({"logprobs": True, "top_logprobs": 3}, "top_logprobs", "0"),
        ({"logprobs": True, "extra_body": {"remasking": "margin"}}, "logprobs", "margin"),
        ({"stop": ["a"], "response_format": {"type": "json_object"}}, "stop", "cut off"),
        ({"extra_body": {"timeout": 1e9}}, "timeout", "at most 120"),
        ({"extra_body": {"quality": "fast"}}, None, "calibrat"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "odd"}}}},
            None,
            "schema",
        ),
    ],
)
def test_what_is_wrong_is_named(client: openai.OpenAI, options: dict[str, Any], param: str | None, words: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, shown(QUESTION, PICTURES[0]), **options)
    assert caught.value.param == param and words in caught.value.message
    assert caught.value.type == "invalid_request_error" and "\n" not in caught.value.message


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "I ask."},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": "/etc/passwd"}]},
    ],
)
def test_messages_of_another_form_are_refused(client: openai.OpenAI, message: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, [message])
    assert str(caught.value.param).startswith("messages")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "/etc/passwd", "data:image/png;base64,AAAA", ""])
def test_no_picture_is_opened_by_a_path(client: openai.OpenAI, address: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": address}}, {"type": "text", "text": QUESTION}]
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, [{"role": "user", "content": content}])
    assert "root:" not in caught.value.message and "No such file" not in caught.value.message


def test_an_unknown_model_or_route_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="choose one of tiny0"):
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": QUESTION}])
    with pytest.raises(openai.NotFoundError, match="no such route"):
        client.embeddings.create(model="tiny0", input="a")
    assert client.models.retrieve("tiny0").lavida["vision"] is True  # type: ignore[attr-defined]


def test_values_that_ask_for_nothing_are_taken(client: openai.OpenAI) -> None:
    got = chat(
        client,
        shown(QUESTION, PICTURES[0]),
        presence_penalty=0,
        frequency_penalty=0.0,
        logit_bias={},
        top_p=1,
        tools=[],
        store=False,
        user="someone",
        n=1,
        max_tokens=5,
        max_completion_tokens=5,
        logprobs=False,
    )
    assert got.usage.completion_tokens == 5


def test_an_answer_is_cut_off_at_a_stop(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"temperature": 0.0, "max_tokens": 24, "extra_body": {"regex": "[a-c]{24}"}}
    with pytest.raises(openai.BadRequestError, match="cut off"):
        chat(client, shown(QUESTION, PICTURES[0]), stop="a", **options)
    whole = chat(client, shown(QUESTION, PICTURES[0]), max_tokens=24, temperature=1.0, seed=3)
    text = whole.choices[0].message.content
    letter = next(letter for letter in text[3:] if letter.isascii() and letter.isalnum())
    stopped = chat(client, shown(QUESTION, PICTURES[0]), max_tokens=24, temperature=1.0, seed=3, stop=[letter])
    assert stopped.choices[0].message.content == text[: text.index(letter)]
    assert stopped.choices[0].finish_reason == "stop"
    streamed = chat(
        client, shown(QUESTION, PICTURES[0]), max_tokens=24, temperature=1.0, seed=3, stop=[letter], stream=True
    )
    parts = [chunk.choices[0].delta.content or "" for chunk in streamed]
    assert "".join(parts) == text[: text.index(letter)]


def test_log_probabilities_are_those_of_the_commit(client: openai.OpenAI, model: Model) -> None:
    got = chat(client, shown(QUESTION, PICTURES[0]), logprobs=True, max_tokens=6, temperature=1.0, seed=9)
    tokens = got.choices[0].logprobs.content
    last = list(model.stream(PICTURES[0], QUESTION, length=6, temperature=1.0, seed=9))[-1]
    wanted = last.step.confidence.log().tolist()
    assert [token.logprob for token in tokens] == pytest.approx(wanted[: len(tokens)], abs=1e-4)
    assert all(token.logprob < 0 for token in tokens) and len(tokens) in (5, 6)
    said = b"".join(bytes(token.bytes) for token in tokens).decode("utf-8", "replace").strip()
    assert said == got.choices[0].message.content


def test_holes_of_a_text_are_filled(client: openai.OpenAI, model: Model) -> None:
    got = chat(client, shown(QUESTION, PICTURES[0]), extra_body={"holes": "a [M:2] dog"})
    wanted = model.infill(PICTURES[0], "a [M:2] dog", question=QUESTION)
    assert got.choices[0].message.content == wanted.text
    assert [hole["text"] for hole in got.choices[0].lavida["holes"]] == [hole.text for hole in wanted.holes]
    with pytest.raises(openai.BadRequestError, match="hole"):
        chat(client, shown(QUESTION, PICTURES[0]), extra_body={"holes": "no hole"})


def test_sixteen_at_once_get_the_answers_of_ask(server: Server, model: Model) -> None:
    async def ask_all() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=server.url + "v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="tiny0",
                        messages=shown(QUESTION, PICTURES[i % 3]),  # type: ignore[arg-type]
                        extra_body=options,
                    )
                    for i, options in enumerate(MIXED)
                )
            )

    got = asyncio.run(ask_all())
    wanted = [model.ask(PICTURES[i % 3], QUESTION, **options) for i, options in enumerate(MIXED)]
    assert [tuple(one.choices[0].lavida["ids"]) for one in got] == [answer.ids for answer in wanted]
    assert [one.choices[0].message.content for one in got] == [answer.text for answer in wanted]
    assert len({answer.ids for answer in wanted}) == len(MIXED)


def test_every_step_is_shown(server: Server, model: Model) -> None:
    import json

    body = {"messages": shown(QUESTION, PICTURES[0]), "steps": 5}
    text = httpx.post(server.url + "v1/denoise", json=body, timeout=60).text
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines.pop() == "[DONE]" and "event:" not in text
    events = [json.loads(line) for line in lines]
    drafts = list(model.stream(PICTURES[0], QUESTION, steps=5))
    steps = [event for event in events if event["type"] == "step"]
    assert [event["pieces"] for event in steps] == [list(draft.pieces) for draft in drafts]
    assert [event["committed"] for event in steps] == [draft.step.committed.tolist() for draft in drafts]
    assert events[0]["type"] == "queued" and events[-1]["type"] == "answer"
    assert events[-1]["text"] == drafts[-1].text and events[-1]["object"] is None and events[-1]["steps"] == 5
    assert all(a["seconds"] < b["seconds"] for a, b in zip(steps, steps[1:]))


LONG: dict[str, Any] = {"max_tokens": 260, "extra_body": {"early_stop": False, "cache": "none"}}  # takes seconds


def test_who_leaves_frees_the_place_and_a_full_queue_says_when_to_come_again(tiny_folder: Path) -> None:
    with serving("--model", str(tiny_folder), "--active", "1", "--waiting", "0") as server:
        client = openai.OpenAI(base_url=server.url + "v1", api_key="none", max_retries=0)
        question = shown(QUESTION, PICTURES[0])
        longest = {**LONG, "max_tokens": 400}
        start = time.monotonic()
        chat(client, question, **longest)
        alone = time.monotonic() - start
        stream = chat(client, question, stream=True, **longest)
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as caught:
            chat(client, question, max_tokens=1)
        assert int(caught.value.response.headers["retry-after"]) >= 1 and caught.value.code == "queue_full"
        stream.close()
        assert _free_within(client, question) < 0.8 * alone  # unless the answer is given up, it takes 7/8 of that
        with pytest.raises(openai.APITimeoutError):
            chat(client.with_options(timeout=alone / 8), question, **longest)
        assert _free_within(client, question) < 0.8 * alone  # unless the answer is given up, it takes 7/8 of that
        with pytest.raises(openai.APIStatusError) as late:
            chat(client, question, max_tokens=400, extra_body={**LONG["extra_body"], "timeout": alone / 8})
        assert late.value.status_code == 408 and late.value.response.headers["x-should-retry"] == "false"
        assert _free_within(client, question) < 0.8 * alone  # unless the answer is given up, it takes 7/8 of that


def _free_within(client: openai.OpenAI, question: list[dict[str, Any]]) -> float:
    """The seconds until the only place is free."""
    start = time.monotonic()
    while time.monotonic() - start < 30:
        try:
            chat(client, question, max_tokens=1)
            return time.monotonic() - start
        except openai.RateLimitError:
            time.sleep(0.02)
    raise AssertionError("the place was not freed")


def test_a_server_that_is_told_to_stop_finishes_what_it_began(tiny_folder: Path) -> None:
    with serving("--model", str(tiny_folder)) as server:
        client = openai.OpenAI(base_url=server.url + "v1", api_key="none", max_retries=0)
        stream = iter(chat(client, shown(QUESTION, PICTURES[0]), stream=True, **LONG))
        next(stream)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        ready = httpx.get(server.url + "ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "closing"})
        with pytest.raises(openai.InternalServerError) as caught:
            chat(client, shown(QUESTION, PICTURES[0]))
        assert caught.value.status_code == 503 and caught.value.code == "shutting_down"
        assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "length"
        client.close()
        assert server.process.wait(30) == 0
        log = server.logged()
        assert "POST /v1/chat/completions 200" in log and "260 tokens" in log
        assert QUESTION not in log and "base64" not in log and "Traceback" not in log


def test_a_second_signal_ends_at_once(tiny_folder: Path) -> None:
    with serving("--model", str(tiny_folder)) as server:
        client = openai.OpenAI(base_url=server.url + "v1", api_key="none", max_retries=0)
        stream = iter(chat(client, shown(QUESTION, PICTURES[0]), stream=True, **LONG))
        next(stream)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        threading.Timer(0.1, server.process.send_signal, (signal.SIGINT,)).start()
        with pytest.raises(openai.APIError, match="stopped before"):
            list(stream)
        assert server.process.wait(30) == 1


def test_the_default_model_answers_as_ask_does() -> None:
    from PIL import Image

    photo = Image.open(Path(lavida.__file__).with_name("assets") / "demo.jpg").convert("RGB")
    with serving() as server:
        client = openai.OpenAI(base_url=server.url + "v1", api_key="none", max_retries=0)
        got = client.chat.completions.create(model="lavida-mini", messages=shown("What is this?", photo))
        wanted = lavida.load().ask(photo, "What is this?")
        assert got.choices[0].message.content == wanted.text and wanted.text
        assert tuple(got.choices[0].lavida["ids"]) == wanted.ids  # type: ignore[attr-defined]
        assert got.choices[0].finish_reason == "stop"
