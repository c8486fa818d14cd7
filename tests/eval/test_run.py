"""Benchmarks run with a tiny model of ours beside tiny models of transformers: resumable, shared, scored, drawn."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lavida.cli.main import main
from lavida.decode.confidence import ConfidenceCurve
from lavida.errors import CheckpointError, RequestError
from lavida.eval.answering import LavidaAnswerer, Reply
from lavida.eval.baseline import TransformersAnswerer
from lavida.eval.contest import Contest
from lavida.eval.items import Item, Source
from lavida.eval.run import Run, slug
from lavida.eval.tasks.table import TASKS
from tests.eval import baselines, sets
from tests.tiny import tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every set, and the baselines."""
    root = tmp_path_factory.mktemp("eval")
    for name, make in sets.SETS.items():
        make(root / name)
    found = {name: root / name for name in sets.SETS}
    for name, save in (("llava", baselines.save_llava_next), ("qwen", baselines.save_qwen)):
        (root / name).mkdir()
        found[name] = save(root / name)
    return found


def without_times(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results but for what differs between two runs of the same."""
    models = {name: {k: v for k, v in one.items() if k != "timing"} for name, one in results["models"].items()}
    return {**results, "models": models}


def read(out: Path) -> dict[str, Any]:
    return without_times(json.loads((out / "results.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_runs_beside_a_model_of_transformers(
    name: str, folders: dict[str, Path], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = "24" if name == "poem" else "4"
    baseline = folders["qwen" if name in ("mmmu", "coco") else "llava"]
    argv = ["eval", name, str(folders[name]), "--model", str(tiny_folder), "--against", str(baseline)]
    assert main([*argv, "--out", str(tmp_path), "--length", length]) == 0
    results, lines = read(tmp_path), capsys.readouterr().out.splitlines()
    assert list(results["models"]) == [str(tiny_folder), str(baseline)]
    ours, theirs = results["models"].values()
    assert [line.split(":")[0] for line in lines] == [str(tiny_folder), str(baseline)]
    assert ours["failed"] == theirs["failed"] == 0 and ours["answered"] == results["questions"]
    assert results["main"] in ours["figures"] and set(ours["figures"]) == set(theirs["figures"])
    assert ours["cost"]["nfe"] <= int(length) and theirs["cost"]["tokens_per_forward"] == 1
    if name == "poem":  # only ours can be held to a form
        assert ours["figures"]["sample"] == 1.0 > theirs["figures"]["sample"]
    if name in ("vqav2", "coco", "poem"):  # whose figure is a mean over questions
        low, high = results["difference"]["interval"]
        assert low <= results["difference"]["mean"] <= high and results["difference"]["questions"] == ours["answered"]
        assert ours["interval"][0] <= ours["figures"][results["main"]] <= ours["interval"][1]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in page and "misses first" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)


@pytest.mark.parametrize("family", ["lavida-llada", "lavida-dream", "llada-v", "mmada"])
def test_models_of_the_published_families_run(
    family: str, folders: dict[str, Path], random_folders: dict[str, Path], tmp_path: Path
) -> None:
    argv = ["eval", "ai2d", str(folders["ai2d"]), "--model", str(random_folders[family]), "--out", str(tmp_path)]
    assert main([*argv, "--length", "4", "--most", "2"]) == 0
    results = read(tmp_path)
    (found,) = results["models"].values()
    assert (found["answered"], found["failed"], results["timed"]) == (2, 0, False)


class Killed(Exception):
    pass


class Breaking(LavidaAnswerer):
    """Dies after so many answers."""

    most = 2

    def replies(self, asked: Iterable[tuple[int, Item]]) -> Iterator[Reply]:
        for count, reply in enumerate(super().replies(asked)):
            if count == self.most:
                raise Killed
            yield reply


def run_of(folders: dict[str, Path], out: Path, name: str = "pope", **more: Any) -> Run:
    task = TASKS[name]
    return Run(task=task, items=task.load(Source(data=folders[name])), data="pope", out=out, **more)


def answerer(kind: type[LavidaAnswerer] = LavidaAnswerer, **options: Any) -> LavidaAnswerer:
    found = kind("tiny", tiny_model, "digest", TASKS["pope"], {"length": 4, **options}, most=2)
    found.load()
    return found


def answers(run: Run) -> list[Any]:
    return [(reply.index, reply.text, reply.steps, reply.tokens) for reply in run.replies("tiny")]


def test_a_broken_run_goes_on_and_ends_as_one_that_was_not(folders: dict[str, Path], tmp_path: Path) -> None:
    whole, broken = run_of(folders, tmp_path / "whole"), run_of(folders, tmp_path / "broken")
    whole.answer(answerer())
    with pytest.raises(Killed):
        broken.answer(answerer(Breaking))
    with pytest.raises(RequestError, match="has no answer to question 2 by tiny; run the same command again"):
        broken.replies("tiny")
    with (tmp_path / "broken" / "answers.tiny.jsonl").open("a") as file:
        file.write('{"index": 2, "te')  # as a kill in the middle of a line leaves it
    broken.answer(answerer())
    assert answers(broken) == answers(whole)
    before = (tmp_path / "broken" / "answers.tiny.jsonl").read_text()
    broken.answer(answerer(Breaking))  # nothing is left to do
    assert (tmp_path / "broken" / "answers.tiny.jsonl").read_text() == before


def test_other_options_or_questions_are_refused_unless_begun_anew(folders: dict[str, Path], tmp_path: Path) -> None:
    run = run_of(folders, tmp_path)
    run.answer(answerer())
    with pytest.raises(RequestError, match=r"begun as another job: --length was 4 and is 5; give the same"):
        run.answer(answerer(length=5))
    shorter = Run(task=run.task, items=run.items[:3], data="pope", out=tmp_path)
    with pytest.raises(RequestError, match="the questions was"):
        shorter.answer(answerer())
    run_of(folders, tmp_path, restart=True).answer(answerer(length=5))
    assert {tokens for _, _, _, tokens in answers(run)} <= set(range(1, 6))


def test_failed_questions_are_counted_left_out_and_asked_again(
    folders: dict[str, Path], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets.coco(tmp_path / "set")
    missing = tmp_path / "set" / "val2017" / "000000000009.jpg"
    kept = missing.read_bytes()
    missing.unlink()
    argv = ["eval", "coco", str(tmp_path / "set"), "--model", str(tiny_folder), "--out", str(tmp_path), "--length", "4"]
    assert main(argv) == 1
    assert "; 1 of 3 failed" in capsys.readouterr().out
    (found,) = read(tmp_path)["models"].values()
    assert (found["failed"], found["answered"]) == (1, 2)
    missing.write_bytes(kept)
    assert main(argv) == 1  # not without being asked to
    assert main([*argv, "--retry"]) == 0
    (found,) = read(tmp_path)["models"].values()
    assert (found["failed"], found["answered"]) == (0, 3)


def test_a_question_that_a_model_cannot_read_fails_alone_and_the_page_runs_nothing_of_it(
    folders: dict[str, Path], tiny_folder: Path, tmp_path: Path
) -> None:
    sets.pope(tmp_path / "set")
    for path in (tmp_path / "set").glob("*.json"):
        path.write_text(path.read_text().replace("there a cat", "there <image> <script>alert(1)</script>", 1))
    argv = ["eval", "pope", str(tmp_path / "set"), "--model", str(tiny_folder), "--against", str(folders["llava"])]
    assert main([*argv, "--out", str(tmp_path), "--length", "3"]) == 1
    assert [(one["answered"], one["failed"]) for one in read(tmp_path)["models"].values()] == [
        (6, 0),  # the mark is the place of the picture
        (3, 3),
    ]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page and "failed: transformers: The total number of" in page


def test_likelihoods_are_those_of_the_model_and_give_a_calibration_error(
    folders: dict[str, Path], tiny_folder: Path, tmp_path: Path
) -> None:
    contest = Contest(
        task=TASKS["pope"], source=Source(data=folders["pope"]), out=tmp_path, model=str(tiny_folder),
        against=str(folders["llava"]), by="likelihood", limit=2,
    )  # fmt: skip
    results = contest.run()
    assert results is not None and not results["timed"]
    for found in results["models"].values():
        assert 0 <= found["calibration"]["ece"] <= 1 and sum(count for count, *_ in found["calibration"]["bins"]) == 2
    line = json.loads(next(tmp_path.glob("answers.tiny*.jsonl")).read_text().splitlines()[0])
    item = contest.items()[0]
    choice = tiny_model().choose(item.open(), item.prompt, ("Yes", "No"))
    assert line["text"] == ("Yes", "No")[choice.best]
    assert line["probabilities"] == pytest.approx(choice.probabilities, abs=1e-5)
    assert "Accuracy by confidence" in (tmp_path / "report.html").read_text()
    captions = Contest(
        task=TASKS["coco"], source=Source(data=folders["coco"]), out=tmp_path, model=str(tiny_folder), by="likelihood"
    )
    with pytest.raises(RequestError, match="captions_val2017.json, line 3 .*has no options to compare"):
        captions.run()


def test_a_model_with_a_confidence_curve_gets_a_calibration_error_for_what_it_writes(
    folders: dict[str, Path], tiny_folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_folder, model)
    ConfidenceCurve(slope=0.1, offset=0.5, questions=9, error=0.1).save(model)
    argv = ["eval", "pope", str(folders["pope"]), "--model", str(model), "--out", str(tmp_path), "--length", "4"]
    assert main(argv) == 0
    (found,) = read(tmp_path)["models"].values()
    lines = [json.loads(line) for line in next(tmp_path.glob("answers.*.jsonl")).read_text().splitlines()]
    mean = sum(line["confidence"] for line in lines) / len(lines)
    assert found["calibration"]["ece"] == pytest.approx(mean) and 0 < mean < 1  # no answer is right
    assert found["cost"]["tokens_per_forward"] == 1


@pytest.mark.parametrize("name", ["llava", "qwen"])
def test_a_baseline_writes_and_weighs_as_transformers_does(name: str, folders: dict[str, Path]) -> None:
    (item, *_) = TASKS["pope"].load(Source(data=folders["pope"]))
    baseline = TransformersAnswerer(str(folders[name]), TASKS["pope"], length=3)
    baseline.load()
    (reply,) = baseline.replies([(0, item)])
    inputs = baseline._inputs([{"role": "user", "content": [
        {"type": "image", "image": item.open()[0]}, {"type": "text", "text": item.prompt}]}])  # fmt: skip
    with torch.inference_mode():
        written = baseline._model.generate(
            **inputs, max_new_tokens=3, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
    ids = written.sequences[0, inputs["input_ids"].shape[1] :]
    text = baseline._processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert (reply.text, reply.steps) == (text, len(ids))
    # The log-likelihood of the written ids is the sum over the steps that wrote them.
    expected = sum(step[0].double().log_softmax(-1)[i] for step, i in zip(written.logits, ids))
    with torch.inference_mode():
        found = baseline._log_likelihood(inputs, ids[None]).item()
    assert found == pytest.approx(float(expected), abs=1e-4)


def test_models_that_are_none_get_one_line(
    folders: dict[str, Path], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Where other tests have told transformers of our models it loads them, and then there is no chat template.
    words = "transformers cannot load .* as an image-text-to-text model|has no chat template"
    with pytest.raises(CheckpointError, match=words):
        TransformersAnswerer(str(tiny_folder), TASKS["pope"]).load()
    (tmp_path / "bare").mkdir()
    baselines.save_llava_next(tmp_path / "bare")
    (tmp_path / "bare" / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="has no chat template"):
        TransformersAnswerer(str(tmp_path / "bare"), TASKS["pope"]).load()
    capsys.readouterr()
    base = ["eval", "pope", str(folders["pope"]), "--out", str(tmp_path / "out"), "--model", str(tiny_folder)]
    for more, message in (
        (["--stepps", "3"], "No such option: --stepps"),
        (["--steps", "17"], "steps must be 1 to length (16), got 17"),
        (["--by", "luck"], "unknown way 'luck'; choose one of generation, likelihood"),
        (["--most", "0"], "most and limit must be at least 1"),
        (["--against", str(tiny_folder)], "against names the model itself"),
        (["--split", "x"], "there is no split 'x'; choose one of random, popular, adversarial"),
    ):
        assert main([*base, *more]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert main(["eval", "popes", "x", "--out", "y"]) == 2
    assert "unknown task 'popes'; did you mean pope?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_names_of_models_make_different_files() -> None:
    names = ["tiny", "a/tiny", "b/tiny", "tiny.", "a b"]
    assert len({slug(name) for name in names}) == len(names) and slug("tiny") == "tiny"


def command(*argv: object) -> list[str]:
    return [sys.executable, "-m", "lavida.cli.main", "eval", *map(str, argv)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_a_killed_process_goes_on_and_ends_as_an_uninterrupted_one(
    folders: dict[str, Path], tiny_folder: Path, tmp_path: Path
) -> None:
    rest = ("--model", tiny_folder, "--length", 16, "--out")
    subprocess.run(command("mme", folders["mme"], *rest, tmp_path / "a"), check=True, env=ENVIRONMENT)
    killed = subprocess.Popen(command("mme", folders["mme"], *rest, tmp_path / "b"), env=ENVIRONMENT)
    end = time.monotonic() + 60
    while time.monotonic() < end and sum(len(f.read_bytes()) for f in (tmp_path / "b").glob("answers*.jsonl")) == 0:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL and not (tmp_path / "b" / "results.json").exists()
    subprocess.run(command("mme", folders["mme"], *rest, tmp_path / "b"), check=True, env=ENVIRONMENT)
    assert read(tmp_path / "a") == read(tmp_path / "b")


@pytest.mark.slow
def test_two_processes_answer_as_one_and_go_on_with_what_one_began(
    folders: dict[str, Path], tiny_folder: Path, tmp_path: Path
) -> None:
    rest = ("--model", tiny_folder, "--against", folders["llava"], "--length", 4, "--out")
    subprocess.run(command("pope", folders["pope"], *rest, tmp_path / "a"), check=True, env=ENVIRONMENT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", "-m"]
    two = [*torchrun, *command("pope", folders["pope"], *rest, tmp_path / "b")[2:]]
    subprocess.run(two, check=True, env=ENVIRONMENT)
    assert read(tmp_path / "a") == read(tmp_path / "b")
    files = sorted(path.name for path in (tmp_path / "b").glob("answers.*.jsonl"))
    assert len(files) == 4 and all(re.search(r"\.[01]-of-2\.jsonl", name) for name in files)
    (tmp_path / "c").mkdir()
    for path in (tmp_path / "a").glob("answers.*"):  # a run of one process, two of whose answers are lost
        text = path.read_text()
        (tmp_path / "c" / path.name).write_text(
            text if path.name.endswith(".json") else "\n".join(text.splitlines()[:-2]) + "\n"
        )
    subprocess.run([*two[:-1], str(tmp_path / "c")], check=True, env=ENVIRONMENT)
    assert read(tmp_path / "a") == read(tmp_path / "c")
