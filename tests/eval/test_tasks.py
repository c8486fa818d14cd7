"""Benchmarks are read from their official files; answers that are right score fully; mistakes name file and line."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lavida.errors import DataError, LavidaError, RequestError
from lavida.eval.items import Item, Source
from lavida.eval.tasks.table import TASKS, find_task
from tests.eval import sets

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
# Of each task: the end of the first question's prompt, and a right answer to each question.
EXPECTED: dict[str, tuple[str, list[str]]] = {
    "coco": (
        "Provide a one-sentence caption for the provided image.",
        ["a cat number 7", "a cat number 9", "a cat number 11"],
    ),
    "flickr30k": ("Provide a one-sentence caption for the provided image.", ["A man 1.", "A man 2."]),
    "vqav2": ("How many cats are in 1?" + SHORT, ["two", "2", "Two."]),
    "gqa": ("What is it?" + SHORT, ["Cat.", "cat"]),
    "textvqa": ("What does it say?" + SHORT, ["STOP", "stop."]),
    "docvqa": ("What is the date?" + SHORT, ["may 1", "1 May"]),
    "chartqa": ("Which?\nAnswer the question with a single word.", ["12.5", "blue"]),
    "infovqa": ("How many?" + SHORT, ["7", "7"]),
    "ai2d": (f"What is 0?\nA. sun\nB. moon\nC. star\n{LETTER}", ["A. sun", "c"]),
    "scienceqa": (f"Context: Look.\nWhich is it?\nA. a cat\nB. a dog\n{LETTER}", ["B", "a"]),
    "mmmu": (f"Which is in <image 1>?\nA. oil\nB. ink\n\n{LETTER}", ["(B)", "The answer is 3"]),
    "mme": ("Is there a cat in this image?" + SHORT, ["Yes", "No"] * 4),
    "mmbench": (f"What is it? There are several options:\nA. a cat\nB. a dog\n\n{LETTER}", ["A", "B.", "(D)"]),
    "mathvista": (
        "How many? (Unit: m)\nAnswer the question using a single floating-point number with one decimal place.",
        ["1.5", "B"],
    ),
    "mathverse": (
        "and provide the correct option letter.\nQuestion: Find x.\nChoices:\nA:1\nB:2",
        ["B", "B: 2", "7"],
    ),
    "mathvision": ("How many?\n<image1>\nAnswer the question with a number directly.", ["7", "C"]),
    "pope": ("Is there a cat?" + SHORT, ["no", "yes"] * 3),
    "refcoco": ("Provide a short description for this region.", ["left cat", "the ball"]),
    "refcoco-box": ("", ["[0.25, 0.25, 0.75, 0.75]"] * 4),
    "poem": (
        "Write a poem of 2 lines about the image. The lines begin with A and Be.",
        ["A cat sits\nBeside a ball", "The end"],
    ),
    "own": ("What is this?", ["A cat.", "red ball"]),
}  # fmt: skip
MOST = {"coco": None, "flickr30k": None, "refcoco": None, "mme": 200.0, "vqav2": 1.0}


def load(name: str, root: Path, split: str | None = None) -> list[Item]:
    return find_task(name).load(Source(data=root, split=split))


@pytest.mark.parametrize("name", TASKS)
def test_each_task_reads_its_official_files_and_gives_right_answers_full_marks(name: str, tmp_path: Path) -> None:
    sets.SETS[name](tmp_path / "set")
    items, (prompt, right) = load(name, tmp_path / "set"), EXPECTED[name]
    assert len(items) == len(right) and items[0].prompt.endswith(prompt)
    assert len({item.id for item in items}) == len(items)
    for item in items:
        assert item.where.startswith(str(tmp_path)) and all(picture.width for picture in item.open())
        json.dumps(item.truth)
    scores, figures = TASKS[name].score(items, right)
    assert len(scores) == len(items) and TASKS[name].main in figures
    most = MOST.get(name, 1.0)
    if most is not None:
        assert figures[TASKS[name].main] == pytest.approx(most)
    wrong, worse = TASKS[name].score(items, ["zzz"] * len(items))
    assert worse[TASKS[name].main] < figures[TASKS[name].main]


def test_the_table_holds_what_the_issue_lists() -> None:
    assert set(sets.SETS) == set(TASKS) == set(EXPECTED)
    with pytest.raises(RequestError, match="did you mean mmmu"):
        find_task("mmmuu")
    with pytest.raises(RequestError, match="choose one of coco"):
        find_task("nothing-like-it")


def test_own_questions_are_entries_as_for_training(tmp_path: Path) -> None:
    path, entry = tmp_path / "own.jsonl", {"image": "a.png", "question": "How many?", "answer": "two"}
    sets.picture(tmp_path / "a.png")
    sets.write(path, [entry], lines=True)
    (item,) = load("own", path)
    assert (item.prompt, item.truth) == ("How many?", {"answers": ["two"]}) and item.open()[0].width == 40
    talk = [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "No."}]
    for bad, problem in (
        ({"image": "a.png", "messages": talk * 2}, "entry 1: is a dialogue"),
        ({"image": "a.png", "question": "How many?", "answer": " "}, "entry 1: .* without words"),
        ({"image": "a.png", "question": "", "answer": "two"}, "entry 1: has no question"),
        ({"image": "https://there.example/a.png", "question": "How many?", "answer": "two"}, "entry 1: .* is a URL"),
    ):
        sets.write(path, [entry, bad], lines=True)
        with pytest.raises(DataError, match=problem):
            load("own", path)
    with pytest.raises(RequestError, match="no splits"):
        load("own", path, split="val")


def test_captions_of_flickr_are_read_as_they_were_published(tmp_path: Path) -> None:
    (tmp_path / "results.token").write_text("1.jpg#0\tA man .\n1.jpg#1\tTwo men .\n2.jpg#0\tA dog .\n")
    items = load("flickr30k", tmp_path)
    assert [item.truth["captions"] for item in items] == [["A man .", "Two men ."], ["A dog ."]]
    (tmp_path / "results.token").write_text("1.jpg#0\tA man .\nnonsense\n")
    with pytest.raises(DataError, match=r"results.token, line 2: is no"):
        load("flickr30k", tmp_path)


def test_pictures_lie_in_rows_or_files(tmp_path: Path) -> None:
    sets.ai2d_parquet(tmp_path / "a")
    (item,) = load("ai2d", tmp_path / "a")
    assert item.truth["letter"] == "B" and item.open()[0].size == (40, 32)
    sets.mmmu(tmp_path / "b")
    assert [len(item.images) for item in load("mmmu", tmp_path / "b")] == [1, 2]
    sets.mmbench(tmp_path / "c")
    assert load("mmbench", tmp_path / "c")[1].open()[0].size == (40, 32)  # named by the number of another row


def test_a_frame_marks_the_region(tmp_path: Path) -> None:
    sets.refcoco(tmp_path)
    item, _ = load("refcoco", tmp_path)
    red, *_ = item.open()[0].getpixel((10, 8))
    assert red > 200 and item.mark == (10, 8, 30, 24)


def test_turned_copies_of_mmbench_count_once(tmp_path: Path) -> None:
    sets.mmbench(tmp_path)
    task, items = TASKS["mmbench"], load("mmbench", tmp_path)
    scores, figures = task.score(items, ["A", "A", "D"])
    assert [score["accuracy"] for score in scores] == [1, 0, 1] and figures["accuracy"] == 0.5


def test_mmbench_in_chinese_asks_in_chinese(tmp_path: Path) -> None:
    sets.mmbench(tmp_path)
    (tmp_path / "MMBench_DEV_EN.tsv").rename(tmp_path / "MMBench_DEV_CN.tsv")
    assert load("mmbench", tmp_path, "DEV_CN")[0].prompt.endswith("\n\n请直接使用所提供的选项字母作为答案回答。")


def test_scienceqa_has_a_strict_and_a_lenient_figure(tmp_path: Path) -> None:
    sets.scienceqa(tmp_path)
    _, figures = TASKS["scienceqa"].score(load("scienceqa", tmp_path), ["B.", "The answer is A"])
    assert figures == {"accuracy": 0.0, "accuracy_lenient": 1.0}


def test_splits(tmp_path: Path) -> None:
    sets.mathverse(tmp_path / "v")
    assert [item.id for item in load("mathverse", tmp_path / "v", "vision_dominant")] == ["2", "3"]
    sets.scienceqa(tmp_path / "s")
    assert [item.id for item in load("scienceqa", tmp_path / "s", "test-image")] == ["1"]
    sets.pope(tmp_path / "p")
    assert [item.group for item in load("pope", tmp_path / "p", "popular")] == ["popular"] * 2
    with pytest.raises(RequestError, match="there is no split 'tset'; choose one of text_dominant"):
        load("mathverse", tmp_path / "v", "tset")


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


CAPTIONS = "annotations/captions_val2017.json"
TWO = '[\n   "a cat",\n   "a dog"\n  ]'
MISTAKES: list[tuple[str, Callable[[Path], None], str]] = [
    ("coco", lambda r: edited(r / CAPTIONS, '"file_name": "000000000009.jpg"', '"name": "9"'),
     r"captions_val2017.json, line 7 \(entry 1\): has no 'file_name'; its fields are id, name"),
    ("coco", lambda r: edited(r / CAPTIONS, '"id": 9', '"id": 8'),
     r"captions_val2017.json, line 7 \(entry 1\): the picture 8 has no caption"),
    ("coco", lambda r: edited(r / CAPTIONS, "}", ""),
     r"captions_val2017.json, line \d+: no valid JSON"),
    ("coco", lambda r: (r / CAPTIONS).unlink(),
     r"there is no captions_val2017.json or captions_\*.json"),
    ("vqav2", lambda r: edited(r / "v2_mscoco_val2014_annotations.json", '"question_id": 20', '"question_id": 21'),
     r"questions.json, line 8 \(entry 1\): the question 20 has no annotation in v2_mscoco_val2014_annotations.json"),
    ("vqav2", lambda r: edited(r / "v2_OpenEnded_mscoco_val2014_questions.json", '"image_id": 2', '"image_id": "x"'),
     r"line \d+ \(entry 1\): 'image_id' is 'x', and should be a number"),
    ("gqa", lambda r: edited(r / "testdev_balanced_questions.json", '"question": "What is it?"', '"question": ["x"]'),
     r"line 2 \(entry '200'\): 'question' is a list, and should be a text"),
    ("textvqa", lambda r: edited(r / "TextVQA_0.5.1_val.json", '"data"', '"date"'),
     r"has no list under 'data'; is it the right file"),
    ("docvqa", lambda r: edited(r / "val_v1.0_withQT.json", '"May 1"', "1.5, null"),
     r"'answers' should be a list of texts"),
    ("ai2d", lambda r: edited(r / "questions/2.png.json", '"correctAnswer": 2', '"correctAnswer": 3'),
     r"2.png.json, line 1: the answer is option 3, and there are 3"),
    ("scienceqa", lambda r: edited(r / "problems.json", TWO + ',\n  "answer": 1', '[],\n  "answer": 1'),
     r"problems.json, line \d+ \(entry '1'\): 'choices' should be a list of texts, and not empty"),
    ("mme", lambda r: (r / "existence/1.txt").write_text("Is it?\tmaybe\n"),
     r"1.txt, line 1: is no question, a tab and Yes or No"),
    ("mmbench", lambda r: edited(r / "MMBench_DEV_EN.tsv", "\tobject\t1\n", "\t1\n"),
     r"tsv, line 3: has 9 fields, and the heading names 10"),
    ("mmbench", lambda r: edited(r / "MMBench_DEV_EN.tsv", "\tB\tobject\t1\n", "\tB\tobject\t77\n"),
     r"tsv, line 3: 'image' holds no picture"),
    ("pope", lambda r: edited(r / "coco_pope_popular.json", '"label": "yes"', '"label": "si"'),
     r"coco_pope_popular.json, line 2: 'label' is 'si', and should be yes or no"),
    ("pope", lambda r: edited(r / "coco_pope_popular.json", "{", "["),
     r"coco_pope_popular.json, line 1: no valid JSON"),
    ("refcoco", lambda r: (r / "refs(unc).p").write_bytes(pickle.dumps([Path("x")])),
     r"refs\(unc\).p: no list of plain values"),
    ("refcoco", lambda r: edited(r / "instances.json", '"id": 6', '"id": 7'),
     r"reference 1: names annotation 6 of picture 1"),
    ("poem", lambda r: edited(r / "poem.jsonl", '["The"]', '"The"'), r"poem.jsonl, line 2: 'starts' is a text"),
    ("mathvision", lambda r: edited(r / "test.jsonl", '"answer": "C"', '"answer": null'),
     r"test.jsonl, line 2: has no 'answer'"),
    ("chartqa", lambda r: (r / "test/test_human.json").write_bytes(b'[\n"\xff"]'),
     r"test_human.json, line 2: is not in UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_file_and_the_line(
    name: str, spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    sets.SETS[name](tmp_path)
    spoil(tmp_path)
    with pytest.raises(LavidaError) as found:
        load(name, tmp_path)
    assert re.search(message, str(found.value)), str(found.value)
    assert "\n" not in str(found.value)


def test_missing_folders_and_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        load("coco", tmp_path / "nowhere")
    sets.coco(tmp_path)
    (tmp_path / "val2017" / "000000000009.jpg").unlink()
    with pytest.raises(LavidaError, match="000000000009.jpg"):
        load("coco", tmp_path)[1].open()
