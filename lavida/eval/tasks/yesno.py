"""Questions that are answered by yes or no: MME and POPE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavida.errors import DataError
from lavida.eval.items import Item, Scores, Source, Task
from lavida.eval.records import read_lines, read_text_lines
from lavida.eval.tasks.vqa import SHORT
from lavida.eval.yesno import COGNITION, PERCEPTION, mme_answer, mme_scores, pope_figures

_ASKED = " Please answer yes or no."
_PICTURES = (".jpg", ".png", ".jpeg")
_SPLITS = ("random", "popular", "adversarial")
YES_NO = ("Yes", "No")


def load_mme(source: Source) -> list[Item]:
    """Read MME: a folder for each category, in it a text for each picture, of two lines "question, tab, Yes or No"."""
    known = PERCEPTION + COGNITION
    if not source.data.is_dir():
        raise DataError(f"{source.data}: no such folder; give that with the categories {', '.join(known[:3])}, ...")
    items = []
    for category in known:
        for path in sorted((source.data / category).rglob("*.txt")):
            items += _mme_picture(path, category, source.data / category)
    if not items:
        raise DataError(f"{source.data}: holds none of the categories {', '.join(known)}; see docs/evaluation.md")
    return items


def _mme_picture(path: Path, category: str, folder: Path) -> list[Item]:
    bases = (path.parent, folder / "images", folder)
    places = [base / (path.stem + suffix) for base in bases for suffix in _PICTURES]
    picture = next((place for place in places if place.exists()), places[0])
    items = []
    for number, line in read_text_lines(path):
        question, tab, answer = line.rstrip().rpartition("\t")
        truth = answer.strip().lower().rstrip(".")
        if not tab or truth not in ("yes", "no"):
            raise DataError(f"{path}, line {number}: is no question, a tab and Yes or No")
        items.append(
            Item(
                id=f"{category}/{path.stem}/{number}",
                prompt=question.strip().replace(_ASKED, "") + SHORT,
                images=(picture,),
                truth={"answer": truth, "category": category, "picture": path.stem},
                answers=YES_NO,
                group=category,
                where=f"{path}, line {number}",
            )
        )
    return items


def score_mme(items: Sequence[Item], texts: Sequence[str]) -> tuple[list[Scores], Scores]:
    """Return whether each answer is right, and the scores of MME: perception up to 2,000, cognition up to 800."""
    right = [mme_answer(text) == item.truth["answer"] for item, text in zip(items, texts, strict=True)]
    found = [(item.truth["category"], item.truth["picture"], correct) for item, correct in zip(items, right)]
    return [{"right": float(correct)} for correct in right], mme_scores(found)


def load_pope(source: Source) -> list[Item]:
    """Read POPE's JSON lines, `coco_pope_adversarial.json` and the like: all that are there, or one by its split."""
    split = source.split_among(_SPLITS, "*")
    items = []
    for path in source.find_all(f"*_pope_{split}.json"):
        part = path.stem.rpartition("_")[2]
        for record in read_lines(path):
            truth = record.text("label").strip().lower()
            if truth not in ("yes", "no"):
                record.fail(f"'label' is {truth!r}, and should be yes or no")
            items.append(
                Item(
                    id=f"{part}-{record.text('question_id')}",
                    prompt=record.text("text").strip() + SHORT,
                    images=(source.picture(record.text("image"), "val2014"),),
                    truth={"answer": truth},
                    answers=YES_NO,
                    group=part,
                    where=record.where(),
                )
            )
    return items


def score_pope(items: Sequence[Item], texts: Sequence[str]) -> tuple[list[Scores], Scores]:
    """Return whether each answer is "yes" or "no" as it should, and the figures of POPE."""
    answers = [text.lower().strip().rstrip(".") for text in texts]
    pairs = [(answer, item.truth["answer"]) for item, answer in zip(items, answers, strict=True)]
    return [{"right": float(answer == truth)} for answer, truth in pairs], pope_figures(pairs)


MME = Task(
    name="mme", title="MME", files="CATEGORY/*.txt and pictures, or CATEGORY/images, CATEGORY/questions_answers_YN",
    load=load_mme, score=score_mme, main="perception", length=16, unit="",
)  # fmt: skip
POPE = Task(
    name="pope", title="POPE", files="coco_pope_{random,popular,adversarial}.json, val2014/", load=load_pope,
    score=score_pope, main="f1", length=16,
)  # fmt: skip
