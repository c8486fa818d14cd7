"""Run a benchmark with one model or several, keep each answer as it comes, and score them.

OUT/answers.NAME.jsonl holds the answers of a model, a line each; a run that is killed goes on where it was. Under
torchrun each process answers its share of the questions into a file of its own, and the first one scores what all have
written, so OUT must lie where all of them see it. OUT/results.json and OUT/report.html are written at the end.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lavida
from lavida.batch.output import Output
from lavida.decode.confidence import calibration_error
from lavida.errors import RequestError
from lavida.eval.answering import Answerer, Reply
from lavida.eval.cost import cost_figures, latency_figures, reliability
from lavida.eval.intervals import interval, paired_interval
from lavida.eval.items import Item, Scores, Task, means, stamp
from lavida.eval.metrics import without_nan
from lavida.eval.report import Answers, write_report
from lavida.eval.shares import Share

RESULTS, REPORT = "results.json", "report.html"
Progress = Callable[[str, int, int, int], None]  # name of the model, answers, questions, failures


@dataclass(frozen=True, kw_only=True)
class Run:
    """Hold a benchmark that is run: its questions and where answers are kept."""

    task: Task
    items: Sequence[Item]
    data: str  # what the questions were read from, for the report
    out: Path
    share: Share = Share()
    restart: bool = False
    retry: bool = False

    def answer(self, answerer: Answerer, progress: Progress | None = None, *, warm_up: bool = False) -> None:
        """Answer what this process has to and what no file holds yet; return when all processes have.

        With `warm_up` a question is answered beforehand and dropped: no seconds hold what is done only once.

        Raises:
            RequestError: The files hold answers of another run.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        path, count, name = self._path(answerer.name), len(self.items), answerer.name
        settings = self._settings(answerer)
        if self.restart and self.share.rank == 0:
            self._drop_other_shares(name)
        self.share.wait()
        with Output(path, settings, count, restart=self.restart, retry=self.retry) as output:
            self.share.wait()  # so that no settings are half written
            others = self._lines(name, settings, besides=path)
            done = {line["index"] for line in others if line["error"] is None or not self.retry}
            own = range(self.share.rank, count, self.share.world)
            left = [n for n in own if n not in output.done and n not in done]
            if left and warm_up:
                answerer.warm_up(self.items[left[0]])
            for reply in answerer.replies((n, self.items[n]) for n in left):
                output.append(_line(reply, self.items[reply.index]))
                if progress is not None:
                    progress(name, output.done.marked, len(own), output.failed)
        self.share.wait()

    def replies(self, name: str) -> list[Reply]:
        """Return the answers of a model, in the order of the questions. Raises RequestError if one is missing."""
        found: dict[int, Reply] = {}
        for line in self._lines(name, None):
            if line["error"] is None or line["index"] not in found:
                found[line["index"]] = _reply(line)
        missing = next((n for n in range(len(self.items)) if n not in found), None)
        if missing is not None:
            raise RequestError(f"{self.out} has no answer to question {missing} by {name}; run the same command again")
        return [found[n] for n in range(len(self.items))]

    def _path(self, name: str) -> Path:
        """Return the file that this process writes a model's answers into."""
        part = f".{self.share.rank}-of-{self.share.world}" if self.share.world > 1 else ""
        return self.out / f"answers.{slug(name)}{part}.jsonl"

    def _drop_other_shares(self, name: str) -> None:
        """Remove the files of runs with another number of processes."""
        part = f"-of-{self.share.world}.jsonl" if self.share.world > 1 else f"answers.{slug(name)}.jsonl"
        for path in self._files(name):
            if not path.name.endswith(part):
                path.unlink()
                path.with_name(path.name + ".job.json").unlink(missing_ok=True)

    def _files(self, name: str) -> list[Path]:
        """Return the files of a model's answers, not of one whose name begins like its."""
        known = re.compile(rf"answers\.{re.escape(slug(name))}(\.\d+-of-\d+)?\.jsonl")
        return [path for path in sorted(self.out.glob("answers.*.jsonl")) if known.fullmatch(path.name)]

    def _settings(self, answerer: Answerer) -> dict[str, Any]:
        """Return what decides the answers, under the names that a user knows."""
        return {
            "the task": self.task.name, "the questions": f"{len(self.items)}, {stamp(self.items)}",
            **{_option(name): value for name, value in answerer.settings().items()},
            "the version of lavida": lavida.__version__,
        }  # fmt: skip

    def _lines(
        self, name: str, settings: Mapping[str, Any] | None, besides: Path | None = None
    ) -> list[dict[str, Any]]:
        """Return the whole lines of a model's files; all must be of these settings, if they are given."""
        lines = []
        for path in self._files(name):
            if path == besides:
                continue
            if settings is not None:
                _check_same(path, settings)
            with path.open("rb") as file:
                lines += [json.loads(line) for line in file if line.endswith(b"\n")]
        return lines


def evaluate(run: Run, name: str) -> tuple[dict[str, Any], list[Scores]]:
    """Return the results of a model as JSON has them, and the scores of each answer; failed answers are left out."""
    replies = run.replies(name)
    good = [n for n, reply in enumerate(replies) if reply.error is None]
    if not good:
        raise RequestError(f"{name} answered no question: the first {replies[0].error}")
    items, texts = [run.items[n] for n in good], [replies[n].text or "" for n in good]
    scores, figures = run.task.score(items, texts)
    by_index: list[Scores] = [{} for _ in replies]
    for n, score in zip(good, scores):
        by_index[n] = score
    kept = [replies[n] for n in good]
    found: dict[str, Any] = {
        "answered": len(good),
        "failed": len(replies) - len(good),
        "figures": figures,
        "groups": _groups(items, scores),
        "cost": cost_figures([reply.steps for reply in kept], [reply.tokens for reply in kept]),
    }
    main = [score[run.task.main] for score in scores if run.task.main in score]
    if len(main) == len(scores) and math.isclose(sum(main) / len(main), figures[run.task.main], abs_tol=1e-9):
        found["interval"] = list(interval(main))
    if all(reply.probabilities for reply in kept):  # no token was written
        found["cost"] = {"nfe": found["cost"]["nfe"]}
    sure = [reply.confidence for reply in kept if reply.confidence is not None]
    if len(sure) == len(kept):
        right = [_is_right(score) for score in scores]
        bins = [[part.count, part.confidence, part.accuracy] for part in reliability(sure, right)]
        found["calibration"] = {"ece": calibration_error(sure, right), "bins": bins}
    # Times differ between two runs of the same; everything else does not.
    found["timing"] = latency_figures([reply.seconds for reply in kept if reply.seconds])
    return without_nan(found), by_index


def write_results(run: Run, names: Sequence[str], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Score all models, write results.json and report.html, and return the results. Raises RequestError."""
    found = {name: evaluate(run, name) for name in names}
    by_model = {name: scores for name, (_, scores) in found.items()}
    results = {
        "task": run.task.name,
        "title": run.task.title,
        "data": run.data,
        "questions": len(run.items),
        "main": run.task.main,
        **extra,
        "models": {name: result for name, (result, _) in found.items()},
    }
    if all("interval" in result for result in results["models"].values()) and len(names) == 2:
        results["difference"] = _difference(by_model, run.task.main)
    _write(run.out / RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    answers = Answers(
        items=run.items,
        replies={name: run.replies(name) for name in names},
        scores=by_model,
    )
    write_report(run.out / REPORT, results, answers, unit=run.task.unit)
    return results


def _difference(scores: Mapping[str, Sequence[Scores]], figure: str) -> dict[str, Any]:
    """Return by how much the first model's figure is above the second's, on the questions that both answered."""
    pairs = [(a[figure], b[figure]) for a, b in zip(*scores.values(), strict=True) if a and b]
    if not pairs:
        return {}
    ours, theirs = zip(*pairs)
    mean = sum(a - b for a, b in pairs) / len(pairs)
    return {"questions": len(pairs), "mean": mean, "interval": list(paired_interval(ours, theirs))}


def slug(name: str) -> str:
    """Return a model's name as a part of a file's name: two names have different ones."""
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).name).strip("-") or "model"
    return base if base == name else f"{base}-{_small_digest(name):06x}"


def _small_digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=3).digest())


def _check_same(path: Path, settings: Mapping[str, Any]) -> None:
    begun: Any = None
    with suppress(OSError, ValueError):
        begun = json.loads(path.with_name(path.name + ".job.json").read_text(encoding="utf-8"))
    if begun != json.loads(json.dumps(settings)):
        raise RequestError(f"{path} holds answers of another run; give the same options, another --out, or --restart")


def _line(reply: Reply, item: Item) -> dict[str, Any]:
    known: dict[str, Any] = {} if reply.confidence is None else {"confidence": reply.confidence}
    known |= {"probabilities": list(reply.probabilities)} if reply.probabilities else {}
    return {
        "index": reply.index, "id": item.id, "text": reply.text, "steps": reply.steps, "tokens": reply.tokens, **known,
        "seconds": round(reply.seconds, 4), "error": reply.error,
    }  # fmt: skip


def _reply(line: Mapping[str, Any]) -> Reply:
    return Reply(
        index=line["index"], text=line["text"], steps=line["steps"], tokens=line["tokens"], seconds=line["seconds"],
        probabilities=tuple(line.get("probabilities", ())), confidence=line.get("confidence"), error=line["error"],
    )  # fmt: skip


def _groups(items: Sequence[Item], scores: Sequence[Scores]) -> dict[str, dict[str, Any]]:
    """Return the means of each category, if there are several."""
    names = sorted({item.group for item in items})
    if len(names) < 2:
        return {}
    of = {name: [score for item, score in zip(items, scores) if item.group == name] for name in names}
    return {name: {"questions": len(part), **means(part)} for name, part in of.items()}


def _is_right(score: Scores) -> bool:
    return next(iter(score.values())) == 1.0


def _option(name: str) -> str:
    return name if " " in name or name in ("until", "strip_stop") else f"--{name}"


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8", errors="replace")
    draft.replace(path)
