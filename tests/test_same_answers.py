"""The shipped model writes the recorded token ids about the demo photograph, in the recorded order.

`python -m tests.test_same_answers` records them anew; do so only when the shipped weights change, or what its
answers may hold.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

import lavida

RECORDED = Path(__file__).parent / "recorded" / "demo_answers.json"
PHOTO = Path(lavida.__file__).parent / "assets" / "demo.jpg"
DESCRIBE = "Describe the image."
NAME, KIND, CHINESE = "What is this?", "What kind of thing is this?", "这是什么？"
SCHEMA = {
    "type": "object",
    "properties": {"thing": {"enum": ["cat", "dog", "fox"]}, "count": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["thing", "count"],
    "additionalProperties": False,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "default": (DESCRIBE, {}),
    "default, chinese": (CHINESE, {}),
    "describe": (DESCRIBE, {"steps": 16}),
    "name": (NAME, {"steps": 16}),
    "kind": (KIND, {"steps": 16}),
    "chinese": (CHINESE, {"steps": 16}),
    "four steps": (DESCRIBE, {"steps": 4}),
    "eight steps": (NAME, {"steps": 8}),
    "blocks": (DESCRIBE, {"block": 4}),
    "threshold": (DESCRIBE, {"threshold": 0.9}),
    "factor": (NAME, {"factor": 0.5, "steps": 8}),
    "entropy bound": (DESCRIBE, {"entropy_bound": 0.1, "remasking": "entropy"}),
    "margin": (KIND, {"remasking": "margin", "schedule": "cosine", "steps": 6}),
    "temperature": (DESCRIBE, {"temperature": 0.7, "seed": 3, "steps": 16}),
    "high temperature": (DESCRIBE, {"temperature": 3.0, "seed": 3, "steps": 16}),
    "top k": (NAME, {"temperature": 4.0, "top_k": 20, "seed": 3, "steps": 16}),
    "top p": (CHINESE, {"temperature": 6.0, "top_p": 0.999, "seed": 5, "steps": 16}),
    "sharp confidence": (DESCRIBE, {"temperature": 3.0, "sharp_confidence": True, "seed": 1, "steps": 8}),
    "positions drawn": (DESCRIBE, {"selection_temperature": 0.5, "seed": 3}),
    "random positions": (DESCRIBE, {"remasking": "random", "temperature": 2.0, "seed": 7}),
    "regex": (NAME, {"regex": "(a|an) [a-z]+ (with|in) the [a-z]+", "steps": 8}),
    "schema": (NAME, {"schema": SCHEMA, "length": 32}),
    "choices": (NAME, {"choices": ["a cat", "a dog", "a wild red fox"]}),
    "no cache": (DESCRIBE, {"cache": "none", "steps": 16}),
    "guidance": (DESCRIBE, {"guidance": 1.5, "steps": 8, "temperature": 3.0}),
    "revise": (DESCRIBE, {"revise": 0.9, "steps": 8, "temperature": 3.0, "seed": 2}),
    "official": (DESCRIBE, {"compat": "official"}),
    "official, no early stop": (NAME, {"compat": "official", "early_stop": False, "steps": 8}),
    "stops": (DESCRIBE, {"stops": ((0,), (1, 2)), "steps": 16}),
}


@functools.cache
def write(case: str) -> tuple[dict[str, Any], str]:
    """Return what is recorded of one case's answer, and the case's settings as text.

    `masked_for` counts for each position the drafts in which it is still masked: the order of decoding.
    """
    question, options = CASES[case]
    *drafts, last = _model().stream(PHOTO, question, **options)
    canvases = [draft.step.canvas.tolist() for draft in [*drafts, last]]
    mask_id = _model().net.config.denoiser.mask_id
    masked = [sum(canvas[at] == mask_id for canvas in canvases) for at in range(len(canvases[0]))]
    facts = {"text": last.text, "forwards": last.step.forwards, "ids": canvases[-1], "masked_for": masked}
    return facts, json.dumps([question, options], ensure_ascii=False)


@functools.cache
def _model() -> lavida.Model:
    return lavida.load()


@pytest.mark.parametrize("case", CASES)
def test_the_ids_are_the_recorded_ones(case: str) -> None:
    facts, settings = write(case)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert recorded[case]["settings"] == json.loads(settings), "record the cases anew"
    assert facts == {name: recorded[case][name] for name in facts}


@pytest.mark.parametrize("case", ("describe", "high temperature", "schema"))
def test_an_answer_that_nobody_watches_is_the_same(case: str) -> None:
    question, options = CASES[case]
    answer, recorded = _model().ask(PHOTO, question, **options), json.loads(RECORDED.read_text(encoding="utf-8"))[case]
    assert list(answer.ids) == recorded["ids"]
    assert (answer.text, answer.steps) == (recorded["text"], recorded["forwards"])


def record() -> None:
    """Write the answers of all cases to the file."""
    found = {case: {"settings": json.loads(settings), **facts} for case, (facts, settings) in _all().items()}
    rows = [f"{json.dumps(case)}: {json.dumps(row, ensure_ascii=False)}" for case, row in found.items()]
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def _all() -> dict[str, tuple[dict[str, Any], str]]:
    return {case: write(case) for case in CASES}


if __name__ == "__main__":
    record()
