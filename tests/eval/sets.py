"""Small benchmarks in their official formats, made here."""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tests.pictures import gradient


def picture(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    gradient(40 + 4 * number, 32).save(path)


def picture_bytes(number: int = 0) -> bytes:
    buffer = io.BytesIO()
    gradient(40 + 4 * number, 32).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, value: Any, *, lines: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(one) + "\n" for one in value) if lines else json.dumps(value, indent=1)
    path.write_text(text, encoding="utf-8")


def table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def coco(root: Path) -> None:
    images = [{"id": n, "file_name": f"{n:012d}.jpg"} for n in (7, 9, 11)]
    annotations = [
        {"image_id": n, "id": 10 * n + k, "caption": text}
        for n in (7, 9, 11)
        for k, text in enumerate((f"a cat number {n}", "One red ball on the left."))
    ]
    write(root / "annotations" / "captions_val2017.json", {"images": images, "annotations": annotations})
    for image in images:
        picture(root / "val2017" / image["file_name"], image["id"] % 3)


def flickr30k(root: Path) -> None:
    images = [
        {"filename": f"{n}.jpg", "split": split, "sentences": [{"raw": f"A man {n}."}, {"raw": "Two dogs."}]}
        for n, split in enumerate(("train", "test", "test"))
    ]
    write(root / "dataset_flickr30k.json", {"images": images, "dataset": "flickr30k"})
    for n in range(3):
        picture(root / "flickr30k-images" / f"{n}.jpg")


def vqav2(root: Path) -> None:
    questions = [{"image_id": n, "question": f"How many cats are in {n}?", "question_id": 10 * n} for n in (1, 2, 3)]
    annotations = [
        {
            "question_id": 10 * n,
            "answer_type": ("number", "yes/no")[n % 2],
            "answers": [{"answer": "2" if k < 7 else "two", "answer_id": k} for k in range(10)],
        }
        for n in (1, 2, 3)
    ]
    write(root / "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    write(root / "v2_mscoco_val2014_annotations.json", {"annotations": annotations})
    for n in (1, 2, 3):
        picture(root / "val2014" / f"COCO_val2014_{n:012d}.jpg", n)


def gqa(root: Path) -> None:
    questions = {
        f"20{n}": {"imageId": f"n{n}", "question": "What is it?", "answer": "cat", "types": {"semantic": "obj"}}
        for n in range(2)
    }
    write(root / "testdev_balanced_questions.json", questions)
    for n in range(2):
        picture(root / "images" / f"n{n}.jpg")


def textvqa(root: Path) -> None:
    data = [
        {"question_id": n, "image_id": f"i{n}", "question": "what does It say?", "answers": ["stop"] * 10}
        for n in range(2)
    ]
    write(root / "TextVQA_0.5.1_val.json", {"data": data})
    for n in range(2):
        picture(root / "train_images" / f"i{n}.jpg")


def docvqa(root: Path) -> None:
    data = [
        {
            "questionId": n, "question": "What is the date?", "question_types": ["form"], "answers": ["May 1", "1 May"],
            "image": f"documents/p{n}.png",
        }
        for n in range(2)
    ]  # fmt: skip
    write(root / "val_v1.0_withQT.json", {"dataset_name": "SP-DocVQA", "data": data})
    for n in range(2):
        picture(root / "spdocvqa_images" / f"p{n}.png")


def infovqa(root: Path) -> None:
    data = [
        {"questionId": n, "question": "How many?", "answers": ["7"], "image_local_name": f"{n}.jpeg"} for n in (0, 1)
    ]
    write(root / "infographicsVQA_val_v1.0_withQT.json", {"data": data})
    for n in range(2):
        picture(root / "infographicsvqa_images" / f"{n}.jpeg")


def chartqa(root: Path) -> None:
    for part, label in (("human", "12"), ("augmented", "Blue")):
        write(root / "test" / f"test_{part}.json", [{"imgname": "c.png", "query": "Which?", "label": label}])
    picture(root / "test" / "png" / "c.png")


def ai2d(root: Path) -> None:
    for n in range(3):
        value = {
            "imageName": f"{n}.png",
            "questions": {
                f"What is {n}?": {
                    "answerTexts": ["sun", "moon", "star"],
                    "correctAnswer": n,
                    "questionId": f"{n}.png-0",
                }
            },
        }
        write(root / "questions" / f"{n}.png.json", value)
        picture(root / "images" / f"{n}.png")
    (root / "ai2d_test_ids.csv").write_text("0\n2\n")


def ai2d_parquet(root: Path) -> None:
    rows = [
        {
            "question": "What?",
            "options": ["sun", "moon"],
            "answer": "1",
            "image": {"bytes": picture_bytes(), "path": "x"},
        }
    ]
    table(root / "data" / "test-00000-of-00001.parquet", rows)


def scienceqa(root: Path) -> None:
    problems = {
        str(n): {
            "question": "Which is it?", "choices": ["a cat", "a dog"], "answer": n % 2, "hint": "Look." * (n == 1),
            "image": "image.png" if n == 1 else None, "split": "test" if n else "train", "subject": "natural science",
        }
        for n in range(3)
    }  # fmt: skip
    write(root / "problems.json", problems)
    picture(root / "test" / "1" / "image.png")


def mmmu(root: Path) -> None:
    image = {"bytes": picture_bytes(), "path": "1.png"}
    rows = [
        {
            "id": "validation_Art_1", "question": "Which is in <image 1>?", "options": "['oil', 'ink']",
            "image_1": image, "image_2": None, "answer": "B", "question_type": "multiple-choice",
        },
        {
            "id": "validation_Art_Theory_2", "question": "How many in <image 2> and <image 1>?", "options": "[]",
            "image_1": image, "image_2": image, "answer": "['3', 'three']", "question_type": "open",
        },
    ]  # fmt: skip
    table(root / "Art" / "validation-00000-of-00001.parquet", rows)


def mme(root: Path) -> None:
    for category in ("existence", "code_reasoning"):
        for n in range(2):
            folder = root / category
            picture(folder / f"{n}.jpg")
            ask = " Please answer yes or no.\t"
            (folder / f"{n}.txt").write_text(f"Is there a cat in this image?{ask}Yes\nIs it a dog?{ask}No\n")


def mmbench(root: Path) -> None:
    shown = base64.b64encode(picture_bytes()).decode()
    head = "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage"
    rows = [
        f"1\tWhat is it?\tnan\ta cat\ta dog\t\t\tA\tobject\t{shown}",
        "1000001\tWhat is it?\tnan\ta dog\ta cat\t\t\tB\tobject\t1",
        f"2\tWhere?\tLook.\tleft\tright\ttop\tbottom\tD\tplace\t{shown}",
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "MMBench_DEV_EN.tsv").write_text("\n".join([head, *rows]) + "\n")


def mathvista(root: Path) -> None:
    shared = {"precision": None, "unit": None, "choices": None, "metadata": {"task": "figure QA"}}
    problems = {
        "1": {
            **shared, "pid": "1", "question": "How many?", "image": "images/1.jpg", "question_type": "free_form",
            "answer_type": "float", "precision": 1.0, "unit": "m", "answer": "1.5",
        },
        "2": {
            **shared, "pid": "2", "question": "Which?", "image": "images/2.jpg", "question_type": "multi_choice",
            "answer_type": "text", "choices": ["3/4", "1/4"], "answer": "1/4",
        },
    }  # fmt: skip
    write(root / "annot_testmini.json", problems)
    for n in (1, 2):
        picture(root / "images" / f"{n}.jpg")


def mathverse(root: Path) -> None:
    shared = {"answer": "B", "question_type": "multi-choice", "question": "Find x.\nChoices:\nA:1\nB:2"}
    asked = "Please answer and provide the correct option letter.\nQuestion: Find x.\nChoices:\nA:1\nB:2"
    problems = [
        {**shared, "sample_index": "1", "problem_version": "Text Only", "image": "", "query_wo": asked},
        {
            **shared, "sample_index": "2", "problem_version": "Vision Dominant", "image": "images_version_1-4/2.png",
            "query_wo": asked,
        },
        {
            "sample_index": "3", "problem_version": "Vision Dominant", "image": "images_version_1-4/3.png",
            "answer": "7", "question_type": "free-form", "question": "Find y.", "query_wo": "Question: Find y.",
        },
    ]  # fmt: skip
    write(root / "testmini.json", problems)
    for n in (2, 3):
        picture(root / "images" / "images_version_1-4" / f"{n}.png")


def mathvision(root: Path) -> None:
    rows = [
        {
            "id": "1", "question": "How many?\n<image1>", "options": [], "image": "images/1.jpg", "answer": "7",
            "subject": "a",
        },
        {
            "id": "2", "question": "Which?", "options": ["1", "2", "3", "4", "5"], "image": "images/2.jpg",
            "answer": "C", "subject": "b",
        },
    ]  # fmt: skip
    write(root / "test.jsonl", rows, lines=True)
    for n in (1, 2):
        picture(root / "images" / f"{n}.jpg")


def pope(root: Path) -> None:
    for part in ("random", "popular", "adversarial"):
        rows = [
            {"question_id": n, "image": "COCO_val2014_1.jpg", "text": "Is there a cat?", "label": ("yes", "no")[n % 2]}
            for n in (1, 2)
        ]
        write(root / f"coco_pope_{part}.json", rows, lines=True)
    picture(root / "val2014" / "COCO_val2014_1.jpg")


def refcoco(root: Path) -> None:
    refs = [
        {
            "ref_id": n, "ann_id": 5 + n, "image_id": 1, "split": "val" if n else "train",
            "sentences": [{"sent": text, "sent_id": k} for k, text in enumerate((f"left {thing}", f"the {thing}"))],
        }
        for n, thing in enumerate(("dog", "cat", "ball"))
    ]  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    (root / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=0))
    annotations = [{"id": 5 + n, "bbox": [10, 8, 20, 16]} for n in range(3)]
    write(root / "instances.json", {"images": [{"id": 1, "file_name": "c.jpg"}], "annotations": annotations})
    picture(root / "train2014" / "c.jpg")


def poem(root: Path) -> None:
    write(
        root / "poem.jsonl",
        [{"image": "1.jpg", "starts": ["A", "Be"]}, {"image": "1.jpg", "starts": ["The"]}],
        lines=True,
    )
    picture(root / "images" / "1.jpg")


def own(root: Path) -> None:
    for n, label in enumerate(("a cat", "red_ball")):
        picture(root / label / f"{n}.png", n)


SETS: dict[str, Callable[[Path], None]] = {
    "coco": coco, "flickr30k": flickr30k, "vqav2": vqav2, "gqa": gqa, "textvqa": textvqa, "docvqa": docvqa,
    "chartqa": chartqa, "infovqa": infovqa, "ai2d": ai2d, "scienceqa": scienceqa, "mmmu": mmmu, "mme": mme,
    "mmbench": mmbench, "mathvista": mathvista, "mathverse": mathverse, "mathvision": mathvision, "pope": pope,
    "refcoco": refcoco, "refcoco-box": refcoco, "poem": poem, "own": own,
}  # fmt: skip
