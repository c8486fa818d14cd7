"""Draw an evaluation as one HTML page: figures, plots, pictures with answers, misses first; nothing lies beside it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lavida.errors import ImageError
from lavida.eval.answering import Reply
from lavida.eval.items import Item, Scores
from lavida.train.charts import HUES, Curve, chart

CARDS = 48  # questions that are shown
THUMBNAIL = 320  # longest side of a picture on the page, pixels
LONGEST = 600  # characters of a text on the page
STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Hold the questions of a run and each model's answers."""

    items: Sequence[Item]
    replies: Mapping[str, Sequence[Reply]]  # by model
    scores: Mapping[str, Sequence[Scores]]  # by model, of each answer; none of one that failed


def write_report(path: Path, results: Mapping[str, Any], answers: Answers, *, unit: str) -> None:
    """Write the page.

    Args:
        path: Of the page.
        results: As `results.json` has them.
        answers: What is shown.
        unit: Of the figures.
    """
    title = f"{results['title']}: {', '.join(results['models'])}"
    parts = [
        f"<h1>{escape(title)}</h1><p>{results['questions']} questions of {escape(results['data'])}.</p>",
        figures_table(results, unit),
        *_groups(results, unit),
        _calibration(results["models"]),
        _latency(answers.replies),
        _cards(answers),
    ]
    page = (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style>\n"
        + "\n".join(filter(None, parts))
        + "\n</html>\n"
    )
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(page, encoding="utf-8", errors="replace")
    draft.replace(path)


def figures_table(results: Mapping[str, Any], unit: str) -> str:
    """Return figures and costs of all models as a table, a column each, what a paper reports beside them."""
    models, published = results["models"], results.get("published")
    columns = list(models) + ["published"] * (published is not None)
    names = list(dict.fromkeys(name for model in models.values() for name in model["figures"]))
    rows = [_row(["figure", *columns], head=True)]
    for name in names:
        cells = [shown(model["figures"].get(name), unit) for model in models.values()]
        beside = [published.get(name, "")] if published is not None else []
        rows.append(_row([name, *cells, *beside], main=name == results["main"]))
    if any("interval" in model for model in models.values()):
        cells = [_range(model.get("interval"), unit) for model in models.values()]
        rows.append(_row([f"{results['main']}, 95 % interval", *cells, *[""] * (published is not None)]))
    if difference := results.get("difference"):
        text = f"{shown(difference['mean'], unit)} ({_range(difference['interval'], unit)})"
        empty = [""] * (len(columns) - 1)
        rows.append(_row([f"{results['main']}, difference on the same questions", text, *empty]))
    costs = {"failed": ("failed",), "forward passes (NFE)": ("cost", "nfe"), "tokens": ("cost", "tokens")}
    costs |= {"tokens per forward": ("cost", "tokens_per_forward"), "calibration error": ("calibration", "ece")}
    if results.get("timed", True):
        costs |= {f"seconds, {name}": ("timing", name) for name in ("mean", "median", "p95")}
    for label, keys in costs.items():
        values = [_inner(model, keys) for model in models.values()]
        if any(value is not None for value in values):
            rows.append(_row([label, *(shown(value, "") for value in values), *[""] * (published is not None)]))
    return f"<table>{''.join(rows)}</table>"


def shown(value: float | None, unit: str) -> str:
    """Return a figure for a reader: shares in per cent."""
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if unit == "%" else f"{value:.4g}"


def _range(edges: Sequence[float] | None, unit: str) -> str:
    return "-" if edges is None else f"{shown(edges[0], unit)} to {shown(edges[1], unit)}"


def _inner(value: Any, keys: Iterable[str]) -> float | None:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _row(cells: Sequence[str], *, head: bool = False, main: bool = False) -> str:
    tag = "th" if head else "td"
    return f"<tr{' class=main' if main else ''}>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _groups(results: Mapping[str, Any], unit: str) -> list[str]:
    """Return a table of the categories for each model, with bars."""
    parts = []
    for name, model in results["models"].items():
        groups = model["groups"]
        if not groups:
            continue
        metric = next(key for key in next(iter(groups.values())) if key != "questions")
        most = max((group.get(metric) or 0.0) for group in groups.values()) or 1.0
        rows = [
            f"<tr><td>{escape(group or '(none)')}</td><td>{figures['questions']}</td>"
            f"<td>{shown(figures.get(metric), '%' if unit == '%' else '')}</td><td style='text-align:left'>"
            f"<span class=bar style='width:{10 * (figures.get(metric) or 0.0) / most:.2f}rem'></span></td></tr>"
            for group, figures in groups.items()
        ]
        head = f"<tr><th>category</th><th>questions</th><th>{escape(metric)}</th><th></th></tr>"
        parts.append(f"<h2>By category: {escape(name)}</h2><table>{head}{''.join(rows)}</table>")
    return parts


def _calibration(models: Mapping[str, Any]) -> str:
    curves = [
        Curve(name, [(100 * sure, 100 * right) for _, sure, right in model["calibration"]["bins"]], hue)
        for (name, model), hue in zip(models.items(), HUES[1:])
        if "calibration" in model
    ]
    if not curves:
        return ""
    curves.append(Curve("as sure as right", [(0.0, 0.0), (100.0, 100.0)], HUES[0]))
    return chart("Accuracy by confidence, in per cent", curves, from_zero=True)


def _latency(replies: Mapping[str, Sequence[Reply]]) -> str:
    """Return the seconds of the answers, sorted: which share of them was ready after how long."""
    curves = []
    for (name, found), hue in zip(replies.items(), HUES):
        seconds = sorted(reply.seconds for reply in found if reply.error is None and reply.seconds)
        points = [(100 * (n + 1) / len(seconds), value) for n, value in enumerate(seconds)]
        curves.append(Curve(name, points[:: max(1, len(points) // 100)], hue))
    return chart("Seconds of an answer (y), by the share of answers in per cent (x)", curves, from_zero=True)


def _cards(answers: Answers) -> str:
    """Return the questions with the lowest scores of the first model and some with the highest, worst first."""
    first, count = next(iter(answers.scores.values())), len(answers.items)
    order = sorted(range(count), key=lambda n: (_value(first[n]), n))
    if len(order) > CARDS:
        order = order[: CARDS * 3 // 4] + order[-(CARDS // 4) :]
    cards = "".join(_card(answers, n) for n in order)
    note = f" ({len(order)} of {count}, misses first)"
    return f"<h2>Questions and answers{note}</h2><div class=cards>{cards}</div>"


def _card(answers: Answers, n: int) -> str:
    item, best = answers.items[n], _value(next(iter(answers.scores.values()))[n])
    paragraphs = []
    for name, found in answers.replies.items():
        reply = found[n]
        text = f"failed: {reply.error}" if reply.error is not None else reply.text or "(nothing)"
        figures = ", ".join(f"{key} {value:.3g}" for key, value in answers.scores[name][n].items())
        paragraphs.append(f"<p><small>{escape(name)}: {escape(figures)}</small>\n{escape(text[:LONGEST])}</p>")
    truth, kind = json.dumps(item.truth, ensure_ascii=False), "hit" if best >= 1 else "miss"
    paragraphs.append(f"<p><small>right: {escape(truth[:LONGEST])}</small></p><small>{escape(item.id)}</small>")
    prompt = f"<p><b>{escape(item.prompt[:LONGEST])}</b></p>"
    return f'<div class="card {kind}">{_pictures(item)}{prompt}{"".join(paragraphs)}</div>'


def _value(score: Scores) -> float:
    return next(iter(score.values())) if score else -1.0


def _pictures(item: Item) -> str:
    try:
        opened = item.open()
    except ImageError as error:
        return f"<p><small>{escape(str(error))}</small></p>"
    found = []
    for picture in opened:
        buffer = io.BytesIO()
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        picture.convert("RGB").save(buffer, "JPEG", quality=80)
        address = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
        found.append(f'<img alt="" src="{address}">')
    return "".join(found)
