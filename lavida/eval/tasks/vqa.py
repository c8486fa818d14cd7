"""Short answers: VQAv2, GQA, TextVQA, DocVQA, InfoVQA, ChartQA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lavida.eval.items import Item, Scores, Source, Task, score_each
from lavida.eval.records import Record, read_entries
from lavida.eval.vqa import anls, relaxed_match, same_but_for_marks, textvqa_accuracy, vqa_accuracy

SHORT = "\nAnswer the question using a single word or phrase."
WORD = "\nAnswer the question with a single word."


def load_vqav2(source: Source) -> list[Item]:
    """Read the questions of VQAv2 and their annotations, by default of val2014."""
    split = source.split_among(("val2014", "train2014"), "val2014")
    questions = source.find(f"v2_OpenEnded_mscoco_{split}_questions.json")
    annotations = f"v2_mscoco_{split}_annotations.json"
    path = questions.with_name(annotations) if source.data.is_file() else source.find(annotations)
    answers = {record.whole("question_id"): record for record in read_entries(path, "annotations")}
    items = []
    for record in read_entries(questions, "questions"):
        number = record.whole("question_id")
        if number not in answers:
            record.fail(f"the question {number} has no annotation in {path.name}")
        given = answers[number]
        written = [answer.text("answer") for answer in given.inners("answers")]
        picture = f"COCO_{split}_{record.whole('image_id'):012d}.jpg"
        items.append(
            Item(
                id=str(number),
                prompt=record.text("question") + SHORT,
                images=(source.picture(picture, split, f"images/{split}"),),
                truth={"answers": written},
                group=given.text("answer_type", default=""),
                where=record.where(),
            )
        )
    return items


def load_gqa(source: Source) -> list[Item]:
    """Read the balanced questions of GQA, by default of testdev."""
    split = source.split_among(("testdev", "val", "train"), "testdev")
    return [
        Item(
            id=record.name,
            prompt=record.text("question") + SHORT,
            images=(source.picture(f"{record.text('imageId')}.jpg", "images"),),
            truth={"answers": [record.text("answer")]},
            group=record.inner("types").text("semantic", default="") if "types" in record else "",
            where=record.where(),
        )
        for record in read_entries(source.find(f"{split}_balanced_questions.json"))
    ]


def load_textvqa(source: Source) -> list[Item]:
    """Read TextVQA 0.5.1, by default its val split; the pictures of val lie among those of train."""
    split = source.split_among(("val", "train"), "val")
    return [
        Item(
            id=record.text("question_id"),
            prompt=record.text("question").capitalize() + SHORT,
            images=(source.picture(f"{record.text('image_id')}.jpg", "train_images", "train_val_images/train_images"),),
            truth={"answers": record.texts("answers")},
            where=record.where(),
        )
        for record in read_entries(source.find(f"TextVQA_0.5.1_{split}.json"), "data")
    ]


def load_docvqa(source: Source) -> list[Item]:
    """Read DocVQA, by default its val split."""
    split = source.split_among(("val", "train"), "val")
    path = source.find(f"{split}_v1.0_withQT.json", f"{split}_v1.0.json", f"{split}.json")
    return [_document(record, source, "image", "spdocvqa_images") for record in read_entries(path, "data")]


def load_infovqa(source: Source) -> list[Item]:
    """Read InfographicVQA, by default its val split."""
    split = source.split_among(("val", "train"), "val")
    path = source.find(f"infographicsVQA_{split}_v1.0_withQT.json", f"infographicsVQA_{split}_v1.0.json")
    return [
        _document(record, source, "image_local_name", "infographicsvqa_images") for record in read_entries(path, "data")
    ]


def _document(record: Record, source: Source, field: str, folder: str) -> Item:
    kinds = record.get("question_types") if "question_types" in record else ()
    return Item(
        id=record.text("questionId"),
        prompt=record.text("question") + SHORT,
        images=(_named_picture(source, record.text(field), folder),),
        truth={"answers": record.texts("answers")},
        group=str(kinds[0]) if isinstance(kinds, list) and kinds else "",
        where=record.where(),
    )


def _named_picture(source: Source, name: str, folder: str) -> Path:
    """Return the path of a page: as named, or without the folder "documents/" of the name."""
    whole = source.picture(name, folder)
    return whole if whole.exists() else source.picture(name.rsplit("/", 1)[-1], folder, "documents")


def load_chartqa(source: Source) -> list[Item]:
    """Read the human and the augmented questions of ChartQA, by default of test."""
    split = source.split_among(("test", "val", "train"), "test")
    files = [source.data] if source.data.is_file() else [source.find(f"{split}_{kind}.json") for kind in _PARTS]
    items = []
    for path in files:
        part = path.stem.removeprefix(f"{split}_")
        for number, record in enumerate(read_entries(path)):
            items.append(
                Item(
                    id=f"{part}-{number}",
                    prompt=record.text("query") + WORD,
                    images=(source.picture(record.text("imgname"), "png", f"{split}/png"),),
                    truth={"answers": [record.text("label")]},
                    group=part,
                    where=record.where(),
                )
            )
    return items


_PARTS = ("human", "augmented")


def _scorer(name: str, metric: Callable[[str, list[str]], float]) -> Callable[[Item, str], Scores]:
    return lambda item, text: {name: metric(text.strip(), item.truth["answers"])}


def _chart(item: Item, text: str) -> Scores:
    right = float(relaxed_match(text.strip(), item.truth["answers"][0]))
    return {"relaxed": right, f"relaxed_{item.group}": right}


def _same(text: str, answers: list[str]) -> float:
    return float(same_but_for_marks(text, answers[0]))


VQAV2 = Task(
    name="vqav2", title="VQAv2", load=load_vqav2, score=score_each(_scorer("accuracy", vqa_accuracy)), length=16,
    main="accuracy", files="v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json, val2014/",
)  # fmt: skip
GQA = Task(
    name="gqa", title="GQA", load=load_gqa, score=score_each(_scorer("accuracy", _same)), main="accuracy", length=16,
    files="testdev_balanced_questions.json, images/",
)  # fmt: skip
TEXTVQA = Task(
    name="textvqa", title="TextVQA", load=load_textvqa, score=score_each(_scorer("accuracy", textvqa_accuracy)),
    main="accuracy", length=16, files="TextVQA_0.5.1_val.json, train_images/",
)  # fmt: skip
DOCVQA = Task(
    name="docvqa", title="DocVQA", load=load_docvqa, score=score_each(_scorer("anls", anls)), main="anls", length=32,
    files="val_v1.0_withQT.json, spdocvqa_images/ or documents/",
)  # fmt: skip
INFOVQA = Task(
    name="infovqa", title="InfographicVQA", load=load_infovqa, score=score_each(_scorer("anls", anls)), main="anls",
    length=32, files="infographicsVQA_val_v1.0_withQT.json, infographicsvqa_images/",
)  # fmt: skip
CHARTQA = Task(
    name="chartqa", title="ChartQA", load=load_chartqa, score=score_each(_chart), main="relaxed", length=16,
    files="test/test_human.json, test/test_augmented.json, test/png/",
)  # fmt: skip
