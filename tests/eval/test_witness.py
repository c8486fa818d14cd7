"""Our metrics against what the published code gives on the same inputs (`witness.json`, written by record_witness.py).

Witnesses: pycocoevalcap 1.2 with Stanford's tokenizer (captions), and the task code of lmms-eval 0.7.3 (all others).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lavida.eval.boxes import box_scores, read_box
from lavida.eval.captions import bleu, ptb_words, rouge_l
from lavida.eval.choice import mmbench_letter, mmmu_letter, mmmu_open_match
from lavida.eval.maths import mathvision_match, normal_mathvista
from lavida.eval.metrics import Cider
from lavida.eval.vqa import anls, normal_answer, relaxed_match, textvqa_accuracy, vqa_accuracy
from lavida.eval.yesno import mme_answer
from tests.eval import cases
from tests.eval.record_witness import WITNESS

SEEN: dict[str, Any] = json.loads(WITNESS.read_text(encoding="utf-8"))


def differing(name: str, inputs: Sequence[Any], ours: Callable[..., Any]) -> list[tuple[Any, Any, Any]]:
    """The inputs on which our value is not the witness's, with both."""
    assert len(inputs) == len(SEEN[name])
    found = []
    for given, theirs in zip(inputs, SEEN[name]):
        value = ours(*given) if isinstance(given, tuple) else ours(given)
        if value != pytest.approx(theirs, abs=1e-9):
            found.append((given, value, theirs))
    return found


def test_tokens_of_captions_are_those_of_stanfords_tokenizer() -> None:
    assert differing("tokens", cases.SENTENCES, ptb_words) == []


def test_caption_metrics_are_those_of_pycocoevalcap() -> None:
    captions, references = [c for c, _ in cases.CAPTIONS], [refs for _, refs in cases.CAPTIONS]
    cider = Cider(references, ptb_words)
    assert cider.score(captions) == pytest.approx(SEEN["cider"], abs=1e-6)
    assert cider.mean(captions) == pytest.approx(SEEN["cider_mean"], abs=1e-6)
    assert bleu(captions, references) == pytest.approx(SEEN["bleu"], abs=1e-6)
    assert [rouge_l(c, r) for c, r in cases.CAPTIONS] == pytest.approx(SEEN["rouge_l"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "inputs", "ours"),
    [
        ("normal", cases.NORMAL, normal_answer),
        ("vqa", cases.VQA, vqa_accuracy),
        ("textvqa", cases.VQA, textvqa_accuracy),
        ("anls", cases.ANLS, anls),
        ("relaxed", cases.RELAXED, relaxed_match),
        ("mmmu_open", cases.OPEN, mmmu_open_match),
        ("mmbench", cases.CHOICES, lambda answer: mmbench_letter(answer, cases.OPTIONS)),
        ("mme", cases.YESNO, mme_answer),
        (
            "mathvista",
            cases.MATHVISTA,
            lambda read, question, kind, options, precision: normal_mathvista(
                read, question=question, kind=kind, options=options, precision=precision
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_short_answers_are_scored_as_lmms_eval_does(name: str, inputs: Sequence[Any], ours: Callable[..., Any]) -> None:
    assert differing(name, inputs, ours) == []


def test_mathvision_is_scored_as_lmms_eval_does_but_where_that_lost_an_import_or_a_fraction() -> None:
    # lmms-eval 0.7.3 evaluates "2*sqrt(3)" without having imported sqrt, and does not read \\frac12.
    ours_alone = [
        ((answer, truth), value)
        for (answer, truth, _), value, _ in differing("mathvision", cases.MATHVISION, mathvision_match)
    ]
    expected = [("\\frac12", "\\frac{1}{2}"), ("3.464", "2\\sqrt{3}"), ("\\sqrt{12}", "2\\sqrt{3}")]
    assert ours_alone == [(pair, True) for pair in expected]


def test_letters_of_mmmu_are_read_as_lmms_eval_does_and_drawn_from_the_id_where_it_draws_at_random() -> None:
    for answer, theirs in zip(cases.CHOICES, SEEN["mmmu"], strict=True):
        drawn = {mmmu_letter(answer, cases.OPTIONS, key=f"question {n}") for n in range(40)}
        assert drawn == ({theirs} if theirs else set("ABCD")), answer
    assert None in SEEN["mmmu"]


def test_boxes_are_compared_as_lmms_eval_does() -> None:
    for (answer, truth), (iou, centre) in zip(cases.BOXES, SEEN["boxes"], strict=True):
        scores = box_scores(answer, truth)
        assert scores["iou"] == pytest.approx(iou) and scores["centre"] == centre
        assert scores["acc@0.5"] == (iou >= 0.5)
    assert read_box("no box") == (0, 0, 0, 0)
