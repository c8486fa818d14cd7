"""C11: dialogues that grow up to the window: they are read whole, in bounded memory; what is too long is refused."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from benchmarks.report import Report, Row
from lavida.api import Model, load
from lavida.decode.request import open_prompt, read_prompt
from lavida.errors import RequestError
from lavida.text.messages import read_messages
from mini.claims.captions import draw
from mini.claims.result import Result, Table, check
from mini.claims.setting import Setting

QUESTIONS = (
    "What is in the picture?", "How many objects are there?", "Where is it?", "What color is it?",
    "Is there a dog in the picture?", "What kind of thing is this?", "Describe the image in detail.",
)  # fmt: skip
LENGTH, STEPS = 16, 4
BUDGET = 24 << 20  # bytes of what is kept of pictures and prompts: a few prompts of this length
PAGE = 4096  # bytes, of /proc/self/statm


class Course(NamedTuple):
    """Hold what was seen in one dialogue."""

    turns: int  # that were answered
    whole: list[bool]  # of each turn: every message was in the prompt
    bounded: list[bool]  # of each turn: what is kept stayed within the budget
    first_counts: bool  # another first question changes the last answer's probabilities
    refused: bool  # the turn behind the window, in one line that names it
    tokens: int  # of the last prompt that was answered
    message: str
    megabytes: float  # resident, at the end
    last: str  # answer


def measure(setting: Setting) -> Result:
    """Hold dialogues about new scenes until they are refused."""
    model = load(setting.model, threads=1)
    model.reader.store.budget = BUDGET
    courses = [
        [hold(model, picture, random.Random(f"{seed} {i}")) for i, picture in enumerate(own.pictures)]
        for seed, own in enumerate(draw(setting.data, setting.some(3, 1), setting.seeds))
    ]
    return report(courses, model.net.config.denoiser.max_length)


def hold(model: Model, picture: Image.Image, rng: random.Random) -> Course:
    """Ask about a picture until the dialogue is refused."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": QUESTIONS[0]}]}
    ]
    whole, bounded, tokens, before, last = [], [], 0, messages, ""
    while True:
        try:
            answer = model.chat(messages, length=LENGTH, steps=STEPS)
        except RequestError as error:
            window, message = model.net.config.denoiser.max_length, str(error)
            beyond = length_of(model, messages) + LENGTH > window
            refused = beyond and str(window) in message and "\n" not in message
            counts = first_counts(model, before)
            return Course(len(whole), whole, bounded, counts, refused, tokens, message, megabytes(), last)
        whole.append(holds_all(model, messages))
        bounded.append(model.reader.store.size <= BUDGET)
        tokens, before, last = length_of(model, messages), messages, answer.text
        messages = [*messages, {"role": "assistant", "content": answer.text or "nothing"}]
        messages.append({"role": "user", "content": rng.choice(QUESTIONS[1:])})


def length_of(model: Model, messages: Sequence[Mapping[str, Any]]) -> int:
    """Return the tokens of a dialogue with its picture."""
    ids, opened = open_prompt(model.reader, read_messages(messages))
    (picture,) = opened
    return len(ids) - 1 + len(model.reader.images.encode(picture, model.net.config.tiles).tokens)


def holds_all(model: Model, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Report whether every message stands in the prompt, and the prompt holds as many tokens as they take."""
    ids, opened = open_prompt(model.reader, read_messages(messages))
    ends, pieces = set(model.net.config.denoiser.eos_ids), [[]]
    for i in ids:
        pieces[-1].append(i)
        if i in ends:
            pieces.append([])
    text = letters(" ".join(model.tokenizer.decode(i for i in piece if i >= 0) for piece in pieces))
    contents = [m["content"] if isinstance(m["content"], str) else m["content"][1]["text"] for m in messages]
    read = read_prompt(model.reader, ids, opened, cache="none")
    return all(letters(content) in text for content in contents) and read.length == length_of(model, messages)


def letters(text: str) -> str:
    """Return a text without spaces and marks, which are written differently beside Chinese words."""
    return "".join(filter(str.isalnum, text))


@torch.inference_mode()
def first_counts(model: Model, messages: Sequence[Mapping[str, Any]]) -> bool:
    """Report whether other words in the first turn change what the model expects at the end of the dialogue."""
    picture = messages[0]["content"][0]
    other = [{"role": "user", "content": [picture, {"type": "text", "text": "What is it?"}]}, *messages[1:]]
    masks = torch.full((1, LENGTH), model.net.config.denoiser.mask_id)
    found = []
    for one in (messages, other):
        ids, opened = open_prompt(model.reader, read_messages(one))
        prompt = read_prompt(model.reader, ids, opened, cache="none")
        found.append(prompt.log_probabilities(masks, torch.ones_like(masks, dtype=torch.bool))[0])
    return not torch.allclose(*found, atol=1e-4)


def megabytes() -> float:
    """Return the resident memory of this process; nan where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6
    except (OSError, ValueError):
        return float("nan")


def report(courses: Sequence[Sequence[Course]], window: int) -> Result:
    """Return the shares of turns and dialogues that went as they should."""
    flat = [one for own in courses for one in own]

    def share(name: str, values: list[list[float]]) -> Any:
        return check(name, values, paper="-", bound=1.0, reached=True)

    checks = (
        share("turns whose prompt holds every message", [[float(w) for c in o for w in c.whole] for o in courses]),
        share("dialogues whose first turn counts at the end", [[float(c.first_counts) for c in o] for o in courses]),
        share("dialogues refused in one line beyond the window", [[float(c.refused) for c in o] for o in courses]),
        share("turns after which what is kept is within its budget",
              [[float(b) for c in o for b in c.bounded] for o in courses]),
    )  # fmt: skip
    turns, tokens, resident = ([getattr(c, name) for c in flat] for name in ("turns", "tokens", "megabytes"))
    rows = (
        ("turns answered before the refusal, least and most", f"{min(turns)}, {max(turns)}"),
        ("tokens of the last prompt that was answered, least and most",
         f"{min(tokens)}, {max(tokens)} of {window} less {LENGTH} for the answer"),
        ("resident memory after the first and the last dialogue, MB", f"{resident[0]:.0f}, {resident[-1]:.0f}"),
        ("budget of what is kept, MB", f"{BUDGET / 1e6:.0f}"),
        ("the refusal", flat[-1].message),
        ("the last answer of the first dialogue", flat[0].last),
    )  # fmt: skip
    return Result(
        claim="C11",
        measured=f"{len(flat)} dialogues about new scenes with today's weights, {sum(turns)} turns, each until it is "
        "refused; the store of pictures and prompts was given a small budget, so that it must drop things.",
        checks=checks,
        tables=(Table(head=("", ""), rows=rows),),
        charts=(
            Report(name="C11", title="Turns of a dialogue until the window is full", x="seed", y="turns", rows=tuple(
                Row(series="dialogues", x=seed, values=tuple(float(c.turns) for c in own))
                for seed, own in enumerate(courses)
            )),
        ),
        notes=("Whether the answers are right was not measured. lavida-mini was trained on single questions, and in a "
               "long dialogue its sentences break.",),
    )  # fmt: skip
