"""The published tables of LaViDa (arXiv 2505.16839) and LLaDA-V (arXiv 2505.16933), each figure with its settings.

`lavida eval papers/lavida DATA --model M --out OUT` runs each row whose benchmark is in DATA, a folder for each by its
name. Rows whose checkpoint or benchmark is not to be had are listed with the reason.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lavida.errors import RequestError
from lavida.eval.contest import Contest
from lavida.eval.items import Source
from lavida.eval.report import shown
from lavida.eval.tasks.table import TASKS, find_task

PAPERS_FILE = "papers.json"
Options = Mapping[str, Any]
Figures = Mapping[str, float]  # by model


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold a row of a table: the settings it was measured with, and the figures."""

    name: str  # of its folder below OUT
    table: str
    task: str
    published: Mapping[str, Figures]  # by our figure's name; shares in per cent, seconds and scores as they are
    length: int = 0  # 0 is the task's
    options: Options = field(default_factory=dict)
    split: str | None = None
    limit: int | None = None
    suffix: str = ""
    until: tuple[str, ...] = ()
    strip_stop: bool = False  # drop one full stop at the end, as LLaDA-V's evaluation does
    needs: str = ""  # why it cannot be run here

    def settings(self) -> dict[str, Any]:
        """Return the options of decoding."""
        length = self.length or (TASKS[self.task].length if self.task in TASKS else 0)
        return {"length": length, "block": length, "temperature": 0.0, "compat": "official", **self.options}


_MODELS = ("LaViDa-L", "LaViDa-D", "LLaVA-1.6-7B", "Open-LLaVA-Next-Llama3-8B")
_FULL: Options = {"cache": "none"}  # by a misspelt option; at a token a pass the schedule does not matter
_DREAM: Options = {"cache": "prefix", "remasking": "margin"}
# Table 1: task, split, length, and for each of our figures those of the four models.
_TABLE_1: Sequence[tuple[str, str | None, int, Mapping[str, tuple[float, ...]]]] = (
    ("mme", None, 16, {
        "perception": (1365.6, 1463.5, 1519.3, 1610.9), "cognition": (341.1, 378.9, 322.5, 336.8),
    }),
    ("vqav2", None, 16, {"accuracy": (72.2, 75.2, 80.1, 71.9)}),
    ("mmbench", None, 100, {"accuracy": (70.5, 73.8, 54.6, 74.4)}),
    ("mmmu", None, 16, {"accuracy": (43.3, 42.6, 35.1, 37.4)}),
    ("mathvista", None, 100, {"accuracy": (44.8, 42.1, 34.4, 41.8)}),
    ("mathverse", "vision_dominant", 100, {"accuracy": (27.2, 24.1, 14.3, 14.6)}),
    ("mathvision", None, 100, {"accuracy": (20.4, 19.4, 12.8, 14.1)}),
    ("scienceqa", None, 16, {"accuracy": (80.2, 81.4, 73.2, 78.3)}),
    ("ai2d", None, 16, {"accuracy": (70.0, 69.0, 66.6, 70.2)}),
    ("textvqa", None, 16, {"accuracy": (56.3, 57.1, 64.9, 61.7)}),
    ("docvqa", None, 32, {"anls": (59.0, 56.1, 74.4, 69.9)}),
    ("chartqa", None, 16, {"relaxed": (64.6, 61.0, 54.8, 69.7)}),
    ("infovqa", None, 32, {"anls": (34.2, 36.2, 37.1, 36.7)}),
)  # fmt: skip
_SCHEDULES: Mapping[str, Options] = {
    "cosine": {"schedule": "cosine"}, "linear": {"schedule": "linear"},
    "shift-3": {"schedule": "shift", "shift": 3.0}, "shift-third": {"schedule": "shift", "shift": 1 / 3},
}  # fmt: skip
_COCO_BY_SCHEDULE = {
    "cosine": (87.7, 102.2, 110.8, 117.3), "linear": (84.9, 105.2, 108.6, 117.3),
    "shift-3": (48.7, 74.7, 92.4, 117.3), "shift-third": (101.1, 114.8, 117.3, 117.3),
}  # fmt: skip
_MATHVISION_BY_SCHEDULE = {
    "cosine": (8.55, 13.49, 24.02), "linear": (10.86, 16.12, 24.02), "shift-3": (5.59, 8.88, 24.02),
    "shift-third": (12.5, 21.05, 24.02),
}  # fmt: skip
_COCO_PICTURES = 500  # of COCO 2017 val, in "lite" sets whose choice is another's; the first ones are taken here


def _lavida() -> Iterator[Row]:
    yield from _table_1(_FULL)
    for name, passes, cache, cider, seconds in (
        ("full-100", 32, "none", 121.0, 7.65), ("prefix-100", 32, "prefix", 117.3, 1.93),
        ("full-50", 16, "none", 118.6, 4.13), ("prefix-50", 16, "prefix", 114.8, 1.23),
    ):  # fmt: skip
        options = {"steps": passes, "cache": cache, **_SCHEDULES["shift-third"]}
        published = {"cider": {"LaViDa-L": cider, "Open-LLaVA-Next": 111.8}, "seconds": {"LaViDa-L, A5000": seconds}}
        yield _coco(f"coco-cache-{name}", "KV cache (COCO, low resolution)", options, published)
    for schedule, ciders in _COCO_BY_SCHEDULE.items():
        for share, cider in zip((25, 50, 75, 100), ciders):
            options = {"steps": 32 * share // 100, "cache": "prefix", **_SCHEDULES[schedule]}
            yield _coco(f"coco-{schedule}-{share}", "Schedules", options, {"cider": {"LaViDa-L": cider}})
    poems = {
        "sample": {"LaViDa": 100.0, "LaViDa-FIM": 100.0, "LLaVA-1.6-7B": 37.0, "Qwen2.5-VL-7B": 16.0},
        "sentence": {"LaViDa": 100.0, "LaViDa-FIM": 100.0, "LLaVA-1.6-7B": 41.0, "Qwen2.5-VL-7B": 45.0},
    }
    yield Row(name="poem", table="Constrained poems", task="poem", options={"cache": "prefix"}, published=poems)
    yield from _reason()
    for table, figures in (
        ("Complementary masking, 200k subset", "MME 260 / 297, MathVista 28.4 / 33.4, ScienceQA 48.74 / 81.49"),
        ("Resolution 384 / 768", "TextVQA 48.40 / 55.65, DocVQA 43.22 / 58.72, ChartQA 42.20 / 57.70"),
        ("Prefix-DLM in training", "MMMU 40.56 / 40.10, VQAv2 63.26 / 61.02"),
        ("Encoders", "MMMU 40.56 SigLIP, 40.44 CLIP, 40.33 MetaCLIP"),
    ):
        why = f"a training ablation whose checkpoints are not published ({figures})"
        yield Row(name=table, table=table, task="", published={}, needs=why)


def _lavida_dream() -> Iterator[Row]:
    yield from _table_1(_DREAM)


def _table_1(options: Options) -> Iterator[Row]:
    for task, split, length, figures in _TABLE_1:
        published = {figure: dict(zip(_MODELS, values)) for figure, values in figures.items()}
        yield Row(
            name=task, table="Table 1", task=task, split=split, length=length, options=options, published=published
        )


def _coco(name: str, table: str, options: Options, published: Mapping[str, Figures]) -> Row:
    return Row(
        name=name, table=table, task="coco", length=32, limit=_COCO_PICTURES, options=options, published=published
    )


def _reason() -> Iterator[Row]:
    """Yield the rows of LaViDa-Reason; give that checkpoint as the model."""
    for task, split, value in (
        ("mathvista", None, 45.2), ("mathverse", "vision_dominant", 29.3), ("mathvision", None, 24.0),
    ):  # fmt: skip
        yield _reason_row(f"reason-{task}", "Reason", task, value, split=split, options=_FULL)
    for schedule, values in _MATHVISION_BY_SCHEDULE.items():
        for passes, value in zip((256, 512, 1024), values):
            options = {"steps": passes, "cache": "none", **_SCHEDULES[schedule]}
            name = f"reason-mathvision-{schedule}-{passes}"
            yield _reason_row(name, "Schedules, Reason", "mathvision", value, options=options)


def _reason_row(name: str, table: str, task: str, value: float, *, options: Options, split: str | None = None) -> Row:
    published = {"accuracy": {"LaViDa-Reason": value}}
    return Row(name=name, table=table, task=task, split=split, length=1024, options=options, published=published)


def _llada_v() -> Iterator[Row]:
    """Yield LLaDA-V's rows; their figures are second-hand, some recalled only (docs/evaluation.md)."""
    yield _row_v("mmmu", 2, 2, "accuracy", {"LLaDA-V": 48.6, "LLaMA3-V": 45.4})
    yield _row_v("ai2d", 2, 2, "accuracy", {"LLaDA-V": 77.8, "LLaMA3-V": 81.1})
    yield _row_v("mmbench", 2, 2, "accuracy", {"LLaDA-V": 82.9})
    yield _row_v("mme", 2, 2, "perception", {"LLaDA-V": 1507.0})
    yield replace(_row_v("chartqa", 16, 16, "relaxed", {"LLaDA-V": 78.3}), until=("\n",))
    yield _row_v("docvqa", 32, 16, "anls", {"LLaDA-V": 83.9, "LLaMA3-V": 86.2})
    yield _row_v("infovqa", 32, 16, "anls", {"LLaDA-V (recalled)": 66.3})
    yield _row_v("mathvista", 96, 48, "accuracy", {"LLaDA-V (recalled)": 59.7}, suffix=" /think")
    yield _row_v("mathverse", 64, 32, "accuracy", {"LLaDA-V (recalled)": 28.5}, suffix=" /think")
    for name, figures in (
        ("MMMU-Pro standard", "35.2 / 28.3"), ("MMMU-Pro vision", "18.6"), ("MMStar", "60.1"), ("SEED image", "74.8"),
        ("MuirBench", "48.3 / 47.4"), ("MLVU", "59.5 / 57.5"), ("VideoMME", "56.1 / 55.8"), ("RealWorldQA", "63.2"),
    ):  # fmt: skip
        why = f"no task here (LLaDA-V / LLaMA3-V {figures}); run lmms-eval with the model lavida"
        yield Row(name=name, table="LLaDA-V", task="", published={}, needs=why)


def _row_v(task: str, length: int, passes: int, figure: str, published: Figures, *, suffix: str = " /no_think") -> Row:
    return Row(
        name=task, table="LLaDA-V", task=task, length=length, options={"steps": passes, "cache": "none"},
        published={figure: published}, suffix=suffix, strip_stop=True,
    )  # fmt: skip


PAPERS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "papers/lavida": _lavida, "papers/lavida-dream": _lavida_dream, "papers/llada-v": _llada_v,
}  # fmt: skip


def find_paper(name: str) -> list[Row]:
    """Return the rows of a paper. Raises RequestError, with a suggestion, for one that is unknown."""
    if name in PAPERS:
        return list(PAPERS[name]())
    close = difflib.get_close_matches(name, PAPERS, n=1)
    mend = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(PAPERS)}"
    raise RequestError(f"unknown paper {name!r}; {mend}")


def run_paper(
    name: str, data: Path, base: Contest, *, only: str | None = None, report_line: Callable[[str], None] = print
) -> dict[str, Any] | None:
    """Run the rows of a paper whose benchmarks are in `data`; write papers.json and return it.

    Args:
        name: "papers/lavida" and the like.
        data: Holds a folder for each benchmark, by the task's name.
        base: The model, the baseline, and where to write; its task and options are not used.
        only: The name of one row.
        report_line: Called for each row with its figures, or why it was not run.

    Raises:
        RequestError: No row can be run.
    """
    rows = [row for row in find_paper(name) if only in (None, row.name)]
    if not rows:
        raise RequestError(
            f"{name} has no row {only!r}; its rows are {', '.join(row.name for row in find_paper(name))}"
        )
    found, is_first = [], True
    for row in rows:
        why = row.needs or ("" if (data / row.task).exists() else f"{data / row.task} is missing")
        if why:
            report_line(f"{row.table}, {row.name}: not run: {why}")
            found.append({"row": row.name, "table": row.table, "not run": why})
            continue
        results = contest_of(row, data, base).run()
        is_first = is_first and results is not None
        if results is not None:
            found.append(_beside(row, results))
            report_line(line_of(found[-1]))
    if all("not run" in one for one in found):
        raise RequestError(f"{data} holds none of the benchmarks of {name}; name a folder in it as the task is")
    if not is_first:
        return None
    report = {"paper": name, "rows": found}
    (base.out / PAPERS_FILE).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def contest_of(row: Row, data: Path, base: Contest) -> Contest:
    """Return a row as a benchmark that can be run."""
    limit = row.limit if base.limit is None else min(base.limit, row.limit or base.limit)
    return replace(
        base, task=find_task(row.task), source=Source(data=data / row.task, split=row.split), out=base.out / row.name,
        options=row.settings(), limit=limit, suffix=row.suffix, until=row.until, strip_stop=row.strip_stop,
        published={figure: _listed(values) for figure, values in row.published.items()},
    )  # fmt: skip


def _listed(values: Figures) -> str:
    return ", ".join(f"{model} {value:g}" for model, value in values.items())


def _beside(row: Row, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's published figures and ours."""
    unit, ours = TASKS[row.task].unit, {}
    for figure in row.published:
        ours[figure] = {
            name: shown(model["timing"]["mean"], "")
            if figure == "seconds"
            else shown(model["figures"].get(figure), unit)
            for name, model in results["models"].items()
            if figure != "seconds" or results["timed"]
        }
    return {
        "row": row.name, "table": row.table, "published": dict(row.published), "ours": ours,
        "questions": results["questions"], "settings": row.settings(), "split": row.split, "suffix": row.suffix,
        "until": list(row.until), "strip_stop": row.strip_stop,
    }  # fmt: skip


def line_of(found: Mapping[str, Any]) -> str:
    """Return a row in a line: ours, and what was published."""
    parts = []
    for figure, published in found["published"].items():
        ours = ", ".join(f"{name} {value}" for name, value in found["ours"][figure].items())
        parts.append(f"{figure} {ours or '-'} (published: {_listed(published)})")
    return f"{found['table']}, {found['row']}: {'; '.join(parts)}"
