"""Multiple choice: AI2D, ScienceQA, MMMU, MMBench."""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from lavida.eval.choice import any_letter, leading_letter, letters, mmbench_letter, mmmu_letter, mmmu_open_match
from lavida.eval.items import Item, Picture, Scores, Source, Task, means, score_each
from lavida.eval.maths import read_list
from lavida.eval.records import Record, read_entries, read_object, read_tables, read_text_lines, read_tsv
from lavida.eval.vqa import same_but_for_marks

LETTER = "Answer with the option's letter from the given choices directly."
CHINESE_LETTER = "请直接使用所提供的选项字母作为答案回答。"
SHORT = "Answer the question using a single word or phrase."
_MANY = 10**6  # MMBench numbers the turned copies of a question by adding multiples of this


def listed(options: Sequence[str]) -> str:
    """Return options a line each, with their letters."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(letters(len(options)), options))


def picture_of(record: Record, field: str) -> Picture:
    """Return the bytes of a picture in a row, as the `datasets` library stores it, or in base 64."""
    value = record.get(field)
    if isinstance(value, Mapping):
        value = value.get("bytes")
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except binascii.Error:
            value = None
    if not isinstance(value, bytes):
        return record.fail(f"{field!r} holds no picture: neither its bytes nor base 64")
    return value


def _choice(
    record: Record, *, id: str, prompt: str, images: tuple[Picture, ...], options: Sequence[str], right: int, group: str
) -> Item:
    if not 0 <= right < len(options):
        record.fail(f"the answer is option {right}, and there are {len(options)}")
    known = letters(len(options))
    truth = {"letter": known[right], "options": list(options)}
    return Item(
        id=id, prompt=prompt, images=images, truth=truth, answers=tuple(known), group=group, where=record.where()
    )


def load_ai2d(source: Source) -> list[Item]:
    """Read AI2D: parquet with question, options, answer and image, or the questions as they were published.

    Beside the latter, `ai2d_test_ids.csv` says which pictures are of the test split; without it all are read.
    """
    if source.has("*.parquet"):
        return [
            _ai2d(
                record, str(n), record.text("question"), record.texts("options"), record.whole("answer"),
                (picture_of(record, "image"),),
            )
            for n, record in enumerate(read_tables(source.find_all("*.parquet")))
        ]  # fmt: skip
    wanted = None
    if source.has("ai2d_test_ids.csv"):
        wanted = {line.strip() for _, line in read_text_lines(source.find("ai2d_test_ids.csv"))}
    items = []
    for path in source.find_all("questions/*.json"):
        picture = read_object(path)
        name = picture.text("imageName")
        if wanted is not None and name.rsplit(".", 1)[0] not in wanted:
            continue
        questions = picture.inner("questions")
        for question in questions.value:
            record = questions.inner(question)
            images = (source.picture(name, "images", "../images"),)
            id, right = record.text("questionId"), record.whole("correctAnswer")
            items.append(_ai2d(record, id, question, record.texts("answerTexts"), right, images))
    return items


def _ai2d(
    record: Record, id: str, question: str, options: Sequence[str], right: int, images: tuple[Picture, ...]
) -> Item:
    prompt = f"{question}\n{listed(options)}\n{LETTER}"
    return _choice(record, id=id, prompt=prompt, images=images, options=options, right=right, group="")


def score_ai2d(item: Item, text: str) -> Scores:
    """Return the accuracy by the letter at the beginning, or else the whole answer."""
    return {"accuracy": float(same_but_for_marks(leading_letter(text), item.truth["letter"]))}


def load_scienceqa(source: Source) -> list[Item]:
    """Read ScienceQA's `problems.json`, by default its test split, questions without a picture too."""
    split = source.split_among(("test", "val", "train", "test-image", "val-image"), "test")
    part, only_images = split.removesuffix("-image"), split.endswith("-image")
    items = []
    for record in read_entries(source.find("problems.json")):
        if record.text("split") != part or (only_images and not record.value.get("image")):
            continue
        options, hint = record.texts("choices"), record.value.get("hint") or ""
        context = f"Context: {hint}\n" if hint else ""
        images: tuple[Picture, ...] = ()
        if record.value.get("image"):
            name = f"{record.name}/{record.text('image')}"
            images = (source.picture(name, part, f"images/{part}"),)
        prompt = f"{context}{record.text('question')}\n{listed(options)}\n{LETTER}"
        right, group = record.whole("answer"), record.text("subject", default="")
        items.append(
            _choice(record, id=record.name, prompt=prompt, images=images, options=options, right=right, group=group)
        )
    return items


def score_scienceqa(item: Item, text: str) -> Scores:
    """Return the accuracy of lmms-eval, which takes the letter alone, and one that reads "B." and the text too."""
    truth = item.truth["letter"]
    lenient = any_letter(text, item.truth["options"])
    return {"accuracy": float(text.strip().lower() == truth.lower()), "accuracy_lenient": float(lenient == truth)}


def load_mmmu(source: Source) -> list[Item]:
    """Read MMMU's parquet files, by default of the validation split of all subjects."""
    split = source.split_among(("validation", "dev"), "validation")
    items = []
    for record in read_tables(source.find_all(f"{split}-*.parquet")):
        id, question = record.text("id"), record.text("question")
        options = read_list(record.text("options", default="[]"))
        is_choice = record.text("question_type") == "multiple-choice"
        if is_choice and not options:
            record.fail("is of multiple choice and has no options")
        asked = f"{question}\n{listed(options)}\n\n{LETTER}" if is_choice else f"{question}\n\n{SHORT}"
        fields = sorted(set(re.findall(r"<image \d+>", asked)))
        images = tuple(picture_of(record, name.strip("<>").replace(" ", "_")) for name in fields)
        answer = record.text("answer")
        subject = "_".join(id.split("_")[1:-1])
        if is_choice:
            right = letters(len(options)).find(answer) if len(answer) == 1 else -1
            items.append(
                _choice(record, id=id, prompt=asked, images=images, options=options, right=right, group=subject)
            )
            continue
        truth = {"answers": read_list(answer) or [answer]}
        items.append(Item(id=id, prompt=asked, images=images, truth=truth, group=subject, where=record.where()))
    return items


def score_mmmu(item: Item, text: str) -> Scores:
    """Return the accuracy as MMMU reads answers."""
    if "letter" in item.truth:
        return {"accuracy": float(mmmu_letter(text, item.truth["options"], item.id) == item.truth["letter"])}
    return {"accuracy": float(mmmu_open_match(text, item.truth["answers"]))}


def load_mmbench(source: Source) -> list[Item]:
    """Read MMBench's table, by default `MMBench_DEV_EN.tsv`; a row's picture may be the number of another row."""
    name = source.split or "DEV_EN"
    path = source.find(f"MMBench_{name}.tsv", f"MMBench_{name}*.tsv", "*.tsv")
    records, ask = read_tsv(path), CHINESE_LETTER if "_CN" in path.stem.upper() else LETTER
    by_index = {record.text("index"): record for record in records}
    items = []
    for record in records:
        known = [letter for letter in "ABCDE" if letter in record]
        options = [record.text(letter) for letter in known]
        shown = by_index.get(record.text("image"), record)
        shown_options = "\n".join(["There are several options:", *map("{}. {}".format, known, options)])
        hint = f"{record.text('hint')} " if "hint" in record else ""
        items.append(
            _choice(
                record,
                id=record.text("index"),
                prompt=f"{hint}{record.text('question')} {shown_options}\n\n{ask}",
                images=(picture_of(shown, "image"),),
                options=options,
                right=known.index(record.text("answer")) if record.text("answer") in known else -1,
                group=record.text("category", default=""),
            )
        )
    return items


def score_mmbench(items: Sequence[Item], texts: Sequence[str]) -> tuple[list[Scores], Scores]:
    """Return the accuracy over questions, all of whose turned copies must be right, and the share without a letter.

    The published evaluation asks a large language model where no letter can be read; here such an answer is wrong.
    """
    read = [mmbench_letter(text, item.truth["options"]) for item, text in zip(items, texts, strict=True)]
    scores = [
        {"accuracy": float(letter == item.truth["letter"]), "unread": float(letter is None)}
        for letter, item in zip(read, items)
    ]
    turned: dict[Any, list[float]] = defaultdict(list)
    for item, score in zip(items, scores):
        turned[int(item.id) % _MANY if item.id.isdigit() else item.id].append(score["accuracy"])
    figures = means(scores) | {"accuracy": means([{"all": min(copies)} for copies in turned.values()]).get("all", 0.0)}
    return scores, figures


AI2D = Task(
    name="ai2d", title="AI2D", files="*.parquet, or questions/*.json, images/, ai2d_test_ids.csv", load=load_ai2d,
    score=score_each(score_ai2d), main="accuracy", length=16,
)  # fmt: skip
SCIENCEQA = Task(
    name="scienceqa", title="ScienceQA", files="problems.json, test/ID/image.png", load=load_scienceqa,
    score=score_each(score_scienceqa), main="accuracy", length=16,
)  # fmt: skip
MMMU = Task(
    name="mmmu", title="MMMU", files="SUBJECT/validation-*.parquet", load=load_mmmu, score=score_each(score_mmmu),
    main="accuracy", length=16,
)  # fmt: skip
MMBENCH = Task(
    name="mmbench", title="MMBench", files="MMBench_DEV_EN.tsv", load=load_mmbench, score=score_mmbench,
    main="accuracy", length=100,
)  # fmt: skip
