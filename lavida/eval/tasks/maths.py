"""Mathematical questions: MathVista, MathVerse, MathVision."""

from __future__ import annotations

import re

from lavida.eval.items import Item, Picture, Scores, Source, Task, score_each
from lavida.eval.maths import mathverse_match, mathvision_match, mathvista_match
from lavida.eval.records import Record, read_entries, read_json_or_lines, read_tables
from lavida.eval.tasks.choice import LETTER, listed, picture_of

_PLACES = {1: "one", 2: "two", 3: "three"}
_VERSIONS = ("text_dominant", "text_lite", "text_only", "vision_dominant", "vision_intensive", "vision_only")
_OPTION = re.compile(r"^\s*\(?([A-G])[):.]\s*(.*)$", re.MULTILINE)
MATHVISION_LETTER = "Answer the question with the option's letter from the given choices directly."
MATHVISION_NUMBER = "Answer the question with a number directly."


def load_mathvista(source: Source) -> list[Item]:
    """Read MathVista, by default testmini: its parquet files or `annot_testmini.json`."""
    split = source.split or "testmini"
    if source.has(f"{split}-*.parquet"):
        return [
            _mathvista(record, record.text("pid"), picture_of(record, "decoded_image"))
            for record in read_tables(source.find_all(f"{split}-*.parquet"))
        ]
    items = []
    for record in read_entries(source.find(f"annot_{split}.json", f"{split}.json")):
        picture = source.picture(record.text("image").removeprefix("images/"), "images")
        items.append(_mathvista(record, record.text("pid", default=record.name), picture))
    return items


def _mathvista(record: Record, id: str, picture: Picture) -> Item:
    question, kind = record.text("question_type"), record.text("answer_type")
    options = record.texts("choices") if record.value.get("choices") else ()
    precision = record.number("precision") if "precision" in record else None
    hint = {
        "integer": "Answer the question using a single integer number.",
        "list": "Answer the question using a Python list.",
        "float": f"Answer the question using a single floating-point number with {_decimals(precision)}.",
    }.get(kind, LETTER)
    if question == "multi_choice":
        hint = LETTER
        if not options:
            record.fail("is of multiple choice and has no 'choices'")
    unit = record.text("unit", default="")
    asked = record.text("question") + (f" (Unit: {unit})" if unit else "")
    truth = {
        "answer": record.text("answer"), "question": question, "kind": kind, "options": list(options),
        "precision": precision,
    }  # fmt: skip
    group = record.inner("metadata").text("task", default="") if "metadata" in record else ""
    prompt = "\n".join(filter(None, (asked, listed(options), hint)))
    return Item(id=id, prompt=prompt, images=(picture,), truth=truth, group=group, where=record.where())


def _decimals(precision: float | None) -> str:
    count = int(precision or 0)
    return f"{_PLACES.get(count, str(count))} decimal place{'' if count == 1 else 's'}"


def score_mathvista(item: Item, text: str) -> Scores:
    """Return whether the answer that is read by rules is right."""
    truth = item.truth
    right = mathvista_match(
        text, truth["answer"], question=truth["question"], kind=truth["kind"], options=truth["options"],
        precision=truth["precision"],
    )  # fmt: skip
    return {"accuracy": float(right)}


def load_mathverse(source: Source) -> list[Item]:
    """Read MathVerse's `testmini.json`, all versions of the problems or the one of the split."""
    split = source.split_among((*_VERSIONS, "all"), "all")
    items = []
    for record in read_entries(source.find("testmini.json", "testmini_*.json")):
        version = record.text("problem_version").lower().replace(" ", "_")
        if split not in ("all", version):
            continue
        prompt = record.text("query_wo", "question")
        name = record.text("image", default="")
        images: tuple[Picture, ...] = (source.picture(name, "images"),) if name else ()
        is_choice = record.text("question_type") == "multi-choice"
        options = [text.strip() for _, text in _OPTION.findall(prompt)] if is_choice else []
        truth = {"answer": record.text("answer"), "options": options or ["", "", "", ""] * is_choice}
        id = record.text("sample_index")
        items.append(Item(id=id, prompt=prompt, images=images, truth=truth, group=version, where=record.where()))
    return items


def score_mathverse(item: Item, text: str) -> Scores:
    """Return whether the answer that is read by rules is right."""
    return {"accuracy": float(mathverse_match(text, item.truth["answer"], item.truth["options"]))}


def load_mathvision(source: Source) -> list[Item]:
    """Read MathVision's `test.jsonl` or `testmini.jsonl`."""
    split = source.split_among(("test", "testmini"), "test")
    items = []
    for record in read_json_or_lines(source.find(f"{split}.jsonl", f"{split}.json")):
        options = record.texts("options") if record.value.get("options") else ()
        shown = f"\nChoices: {listed(options)}" if options else ""
        ask = MATHVISION_LETTER if options else MATHVISION_NUMBER
        items.append(
            Item(
                id=record.text("id"),
                prompt=f"{record.text('question')}{shown}\n{ask}",
                images=(source.picture(record.text("image").removeprefix("images/"), "images"),),
                truth={"answer": record.text("answer"), "options": list(options)},
                group=record.text("subject", default=""),
                where=record.where(),
            )
        )
    return items


def score_mathvision(item: Item, text: str) -> Scores:
    """Return whether the answer that is read by rules is right."""
    return {"accuracy": float(mathvision_match(text, item.truth["answer"], item.truth["options"]))}


MATHVISTA = Task(
    name="mathvista", title="MathVista", files="testmini-*.parquet, or annot_testmini.json, images/",
    load=load_mathvista, score=score_each(score_mathvista), main="accuracy", length=100,
)  # fmt: skip
MATHVERSE = Task(
    name="mathverse", title="MathVerse", files="testmini.json, images/", load=load_mathverse,
    score=score_each(score_mathverse), main="accuracy", length=100,
)  # fmt: skip
MATHVISION = Task(
    name="mathvision", title="MathVision", files="test.jsonl, images/", load=load_mathvision,
    score=score_each(score_mathvision), main="accuracy", length=100,
)  # fmt: skip
