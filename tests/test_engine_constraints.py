"""Requests that are held to different languages share their passes and get the answers they get alone."""

from __future__ import annotations

import json
import re

from lavida.engine import Engine
from tests.pictures import gradient
from tests.tiny import tiny_model

FORM = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
REQUESTS = [
    {"regex": "[a-c]{3,6} é", "length": 12},
    {"regex": "(a|ab)*", "length": 9, "steps": 2, "temperature": 1.0, "seed": 3},
    {"schema": FORM, "steps": 3},
    {"schema": FORM, "length": 20, "block": 10, "remasking": "random"},
    {"choices": ["a cat", "a dog and a cat", "é"], "steps": 1},
    {"length": 7, "steps": 3},
    {"choices": ["yes", "no"], "threshold": 0.1},
]


def test_batched_answers_under_constraints_equal_those_alone() -> None:
    model, picture = tiny_model(), gradient(80, 50)
    alone = [model.ask(picture, "What is this?", **options) for options in REQUESTS]
    engine = Engine(model)
    tickets = [engine.submit(picture, "What is this?", **options) for options in REQUESTS]
    engine.run()
    together = [ticket.result() for ticket in tickets]
    assert [(a.ids, a.steps, a.text) for a in together] == [(a.ids, a.steps, a.text) for a in alone]
    assert re.fullmatch("[a-c]{3,6} é", together[0].text) and re.fullmatch("(a|ab)*", together[1].text)
    assert all(json.loads(together[i].text)["n"] >= 3 for i in (2, 3))
    assert together[4].text in REQUESTS[4]["choices"] and together[6].text in ("yes", "no")
