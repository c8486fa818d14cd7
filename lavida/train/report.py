"""Draw a run's log as one HTML page that needs nothing beside it: `lavida train report RUN`.

A figure that the trainer logs under another name than those below gets a chart of its own.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from lavida.errors import DataError, ImageError
from lavida.image.load import open_image
from lavida.train.charts import HUES, Curve, Point, chart, number, thinned
from lavida.train.log import LOG

PAGE = "report.html"
SMOOTH = 60  # points of a curve
PICTURE = 260  # longest side of a picture on the page, pixels
STYLE = Path(__file__).with_name("report.css")
# Why a run stopped, as its log says and as the page does.
ENDS = {"done": "all stages done", "time": "stopped in time", "broken": "stopped because its loss broke"}
# Fields of a step that have their own place on the page, or tell when rather than how well.
PLACED = frozenset("event step stage loss lr samples samples_per_s matmul_share buckets seconds time".split())
Event = dict[str, Any]


class Stage(NamedTuple):
    """Hold the steps of one stage, in order; never empty."""

    name: str
    start: int
    end: int
    steps: Sequence[Event]


@dataclass(kw_only=True)
class History:
    """Hold the events of a run's log by kind, each in the order of its steps."""

    steps: list[Event] = field(default_factory=list)
    evals: list[Event] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # name of a sample -> what was wrong with it
    starts: list[Event] = field(default_factory=list)
    end: Event | None = None  # how it stopped; None while it runs, or if it was killed

    def add(self, event: Event) -> None:
        """Take one more line. Raises KeyError or AttributeError if it is not one of a training log."""
        kind = event.get("event")
        if kind in ("step", "eval"):
            (self.steps if kind == "step" else self.evals).append({**event, "step": int(event["step"])})
        elif kind == "skipped":
            self.skipped[str(event["name"])] = str(event["reason"])
        elif kind == "start":
            self.starts.append(event)
            self.end = None
        elif kind == "stop":
            self.end = event

    def stages(self) -> list[Stage]:
        """Return the stages: neighbouring steps of one name together."""
        parts = [(name, list(part)) for name, part in groupby(self.steps, lambda event: str(event.get("stage", "")))]
        return [Stage(name, part[0]["step"], part[-1]["step"], part) for name, part in parts]

    def curve(self, *path: str | int, evals: bool = False) -> list[Point]:
        """Return (step, value) wherever the field is a finite number; `path` leads into lists and dictionaries."""
        points = []
        for event in self.evals if evals else self.steps:
            value: Any = event
            for key in path:
                try:
                    value = value[key]
                except (KeyError, IndexError, TypeError):
                    value = None
            if is_number(value):
                points.append((float(event["step"]), float(value)))
        return points


def is_number(value: object) -> bool:
    """Return whether a value is a finite int or float, and not True or False."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_history(run: Path) -> History:
    """Read the log of a run's folder; lines that a killed process left half-written are ignored.

    Raises:
        DataError: There is no log, or it holds no step.
    """
    path = run / LOG
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        raise DataError(f"no {LOG} in {run}; give the folder that `lavida train ... --out` wrote") from None
    except NotADirectoryError:
        raise DataError(f"{run} is a file; give the folder of the run") from None
    history = History()
    for line in lines:
        try:
            history.add(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    if not history.steps:
        raise DataError(f"{path} holds no step yet; let the run go on for a while first")
    return history


def write_report(run: Path, out: Path | None = None) -> Path:
    """Draw the log of a run's folder into `out` (by default RUN/report.html), which is returned.

    Raises:
        DataError: The folder holds no log of training.
    """
    history, name = read_history(run), run.resolve().name
    parts = [_opening(history, name), *_charts(history), _stages(history.stages()), *_held_out(history)]
    parts += [_captions(history, run), _table("Skipped samples", ["sample", "reason"], history.skipped.items())]
    parts.append(_settings(history.starts))
    out = run / PAGE if out is None else out
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}: training</title><style>{STYLE.read_text(encoding='utf-8')}</style>\n"
        + "\n".join(filter(None, parts))
        + "\n</html>\n",
        encoding="utf-8",
    )
    return out


def _opening(history: History, name: str) -> str:
    last, end = history.steps[-1], history.end
    figures = {"step": last["step"], "samples": last.get("samples"), "loss": last.get("loss")}
    if history.evals:
        figures["held-out loss"] = history.evals[-1].get("loss")
    figures |= {"samples per second": last.get("samples_per_s"), "skipped samples": len(history.skipped)}
    tiles = "".join(f"<div><b>{number(v)}</b><span>{k}</span></div>" for k, v in figures.items() if is_number(v))
    share = last.get("matmul_share")
    if is_number(share):
        tiles += f"<div><b>{share:.0%}</b><span>of the matmul peak</span></div>"
    state = f"Started {len(history.starts)} times; " if len(history.starts) > 1 else "Started once; "
    if end is None:
        state += "running still, or killed."
    else:
        batch = f", in the batch of {', '.join(end['names'])}" if end.get("names") else ""
        state += f"{ENDS.get(str(end.get('reason')), end.get('reason'))} at step {number(last['step'])}{batch}."
    return f'<h1>{escape(name)}</h1><p class="dim">{escape(state)}</p><div class="tiles">{tiles}</div>'


def _charts(history: History) -> Iterator[str]:
    def curve(label: str, *path: str | int, hue: float = HUES[0]) -> Curve:
        return Curve(label, thinned(history.curve(*path), SMOOTH), hue)

    stages = history.stages()
    bands = [(stage.name, stage.start, stage.end) for stage in stages]
    held_out = Curve("held out", history.curve("loss", evals=True), HUES[1])
    yield "<h2>Loss</h2>"
    yield chart("Loss", [curve("training", "loss"), held_out], bands=bands)
    count = max((len(s.get("buckets") or ()) for s in history.steps), default=0)
    by_bucket = [
        curve(
            f"{100 * i // count} to {100 * (i + 1) // count} % masked",
            "buckets", i, hue=250 - 230 * i / max(count - 1, 1),
        )
        for i in range(count)
    ]  # fmt: skip
    yield chart("Loss by timestep: how much of the answer was masked", by_bucket, bands=bands)
    parts = dict.fromkeys(part for s in history.steps for part in s.get("lr") or {})
    rates = [curve(part, "lr", part, hue=HUES[i % len(HUES)]) for i, part in enumerate(parts)]
    yield chart("Learning rate of each part", rates, bands=bands)
    for key in dict.fromkeys(k for s in history.steps for k, v in s.items() if k not in PLACED and is_number(v)):
        yield chart(key.replace("_", " "), [curve(key, key)], bands=bands)
    yield chart("Samples per second", [curve("samples per second", "samples_per_s")], from_zero=True)
    share = curve("share of the peak", "matmul_share")
    yield chart("Share of the machine's measured matmul peak", [share], from_zero=True)


def _stages(stages: Sequence[Stage]) -> str:
    rows, seen = [], 0
    for stage in stages:
        losses = [number(s["loss"]) for s in stage.steps if is_number(s.get("loss"))] or [""]
        samples = stage.steps[-1].get("samples") or seen
        rows.append([stage.name, number(stage.end), number(samples - seen), losses[0], losses[-1]])
        seen = samples
    return _table("Stages", ["stage", "until step", "samples", "first loss", "last loss"], rows)


def _held_out(history: History) -> Iterator[str]:
    """Yield all held-out figures as a table, and a chart of each besides the loss."""
    names = dict.fromkeys(k for e in history.evals for k, v in e.items() if k != "step" and is_number(v))
    cells = [[number(e[k]) if is_number(e.get(k)) else "" for k in ("step", *names)] for e in history.evals]
    yield _table("Held-out figures", ["step", *(k.replace("_", " ") for k in names)], cells if names else [])
    for key in names:
        if key != "loss" and len(history.evals) > 1:
            yield chart(key.replace("_", " "), [Curve(key, history.curve(key, evals=True), HUES[1])])


def _captions(history: History, folder: Path) -> str:
    """Return a card for each held-out picture and prompt: the truth, the last answer, earlier ones folded away."""
    cards: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    for event in history.evals:
        for caption in event.get("captions") or ():
            key = (str(caption.get("image") or ""), str(caption.get("prompt", "")))
            cards.setdefault(key, []).append((event["step"], caption))
    body = "".join(_card(image, prompt, answers, folder) for (image, prompt), answers in cards.items())
    return f'<h2>Held-out captions</h2><div class="captions">{body}</div>' if body else ""


def _card(image: str, prompt: str, answers: list[tuple[int, dict[str, Any]]], folder: Path) -> str:
    (step, last), earlier = answers[-1], answers[:-1]
    lines = "".join(f"<p>step {number(s)}: {escape(str(c.get('answer', '')))}</p>" for s, c in earlier)
    before = f'<details class="dim"><summary>earlier answers</summary>{lines}</details>' if earlier else ""
    # A comma stands between the names of several pictures, or within that of one.
    names = [image] if _find(image, folder).exists() else image.split(", ")
    return (
        f"<div>{''.join(_picture(name, _find(name, folder)) for name in names if name)}"
        f'<section><p class="dim">{escape(prompt)}</p>'
        f"<p><b>{escape(str(last.get('answer', '')))}</b> <span class=dim>(step {number(step)})</span></p>"
        f"<p>truth: {escape(str(last.get('truth', '')))}</p>{before}</section></div>"
    )


def _find(name: str, folder: Path) -> Path:
    return Path(name) if Path(name).exists() else folder / name


def _picture(name: str, path: Path) -> str:
    """Return a picture, or the reason why there is none."""
    try:
        picture = open_image(path, name=name, any_shape=True)
    except ImageError as error:
        return f'<section class="dim">{escape(str(error))}</section>'
    picture.thumbnail((PICTURE, PICTURE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=82)
    return f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}">'


def _settings(starts: Sequence[Event]) -> str:
    """Return the fields of the last start."""
    if not starts:
        return ""
    text = json.dumps({k: v for k, v in starts[-1].items() if k != "event"}, indent=1, ensure_ascii=False)
    return f"<h2>Settings</h2><details><summary>as the run was started</summary><pre>{escape(text)}</pre></details>"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a heading and its table, empty without rows."""
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    header = "".join(f"<th>{escape(name)}</th>" for name in head)
    return lines and f'<h2>{title}</h2><div class="wide"><table><tr>{header}</tr>{lines}</table></div>'
