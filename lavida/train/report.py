"""A run's log as one HTML page that needs nothing beside it: `lavida train report RUN`.

A figure that the trainer logs under another name than those below gets a chart of its own.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from lavida.errors import DataError, ImageError
from lavida.image.load import open_image
from lavida.train.charts import HUES, Band, Curve, Point, chart, number, thinned
from lavida.train.log import LOG

PAGE = "report.html"
SMOOTH, FINE = 60, 400  # points of a smoothed curve and of the faint one behind it
PICTURE = 260  # longest side of a picture on the page, pixels
STYLE = Path(__file__).with_name("report.css")
PEAK = "share of the machine's measured matmul peak"
# Why a run stopped, as its log says and as the page does.
ENDS = {"done": "all stages done", "time": "stopped in time", "broken": "stopped because its loss broke"}
# Fields of a step that have their own place on the page, or tell when rather than how well.
PLACED = frozenset("event step stage loss lr samples samples_per_s matmul_share buckets seconds time".split())


Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The steps of one stage, in order; never empty."""

    name: str
    steps: Sequence[Event]

    @property
    def start(self) -> int:
        """The first step."""
        return self.steps[0]["step"]

    @property
    def end(self) -> int:
        """The last step."""
        return self.steps[-1]["step"]


@dataclass(kw_only=True)
class History:
    """The events of a run's log by kind, each in the order of its steps."""

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
        parts: list[list[Event]] = []
        for event in self.steps:
            if not parts or parts[-1][-1].get("stage") != event.get("stage"):
                parts.append([])
            parts[-1].append(event)
        return [Stage(name=str(part[0].get("stage", "")), steps=part) for part in parts]

    def curve(self, *path: str | int, evals: bool = False) -> list[tuple[float, float]]:
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

    Raises DataError if the folder holds no log of training.
    """
    page = draw(read_history(run), name=run.resolve().name, folder=run)
    out = run / PAGE if out is None else out
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out


def draw(history: History, *, name: str, folder: Path) -> str:
    """Return the page; pictures that the log names are searched as they are named and in `folder`."""
    parts = [_opening(history, name), *_losses(history), *_speed(history), _stages(history.stages())]
    parts += [*_held_out(history), _captions(history, folder), _skipped(history.skipped), _settings(history.starts)]
    style = STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}: training</title><style>{style}</style>\n"
        + "\n".join(filter(None, parts))
        + "\n</html>\n"
    )


def _opening(history: History, name: str) -> str:
    last = history.steps[-1]
    figures = {"step": last["step"], "samples": last.get("samples"), "loss": last.get("loss")}
    if history.evals:
        figures["held-out loss"] = history.evals[-1].get("loss")
    figures |= {"samples per second": last.get("samples_per_s"), "skipped samples": len(history.skipped)}
    tiles = "".join(f"<div><b>{number(v)}</b><span>{k}</span></div>" for k, v in figures.items() if is_number(v))
    share = last.get("matmul_share")
    if is_number(share):
        tiles += f"<div><b>{share:.0%}</b><span>of the matmul peak</span></div>"
    return f'<h1>{escape(name)}</h1><p class="dim">{escape(_state(history))}</p><div class="tiles">{tiles}</div>'


def _state(history: History) -> str:
    """Return the state of the run in words."""
    begun = f"Started {len(history.starts)} times" if len(history.starts) > 1 else "Started once"
    if history.end is None:
        return f"{begun}; running still, or killed."
    reason, names = history.end.get("reason"), history.end.get("names")
    batch = f", in the batch of {', '.join(names)}" if names else ""
    return f"{begun}; {ENDS.get(str(reason), reason)} at step {number(history.steps[-1]['step'])}{batch}."


def _losses(history: History) -> Iterator[str]:
    bands = [Band(label=s.name, start=s.start, end=s.end) for s in history.stages()]
    yield "<h2>Loss</h2>"
    loss = history.curve("loss")
    curves = [Curve(label="each line of the log", points=thinned(loss, FINE), faint=True)] if len(loss) > SMOOTH else []
    curves.append(Curve(label="training", points=thinned(loss, SMOOTH)))
    curves.append(Curve(label="held out", points=history.curve("loss", evals=True), hue=HUES[1]))
    yield chart("Loss", curves, bands=bands)
    count = max((len(s.get("buckets") or ()) for s in history.steps), default=0)
    spans = [f"{100 * i // count} to {100 * (i + 1) // count} % masked" for i in range(count)]
    by_bucket = [
        Curve(label=span, points=thinned(history.curve("buckets", i), SMOOTH), hue=250 - 230 * i / max(count - 1, 1))
        for i, span in enumerate(spans)
    ]
    yield chart("Loss by timestep: how much of the answer was masked", by_bucket, bands=bands)
    by_stage = [
        Curve(label=f"end of {s.name}", points=_profile(s, count), hue=hue)
        for s, hue in zip(history.stages(), HUES * len(bands))
    ]
    yield chart(
        "Loss by timestep at the end of each stage (the last quarter of its steps)", by_stage, across="% masked"
    )
    parts = dict.fromkeys(part for s in history.steps for part in s.get("lr") or {})
    rates = [
        Curve(label=p, points=thinned(history.curve("lr", p), SMOOTH), hue=h) for p, h in zip(parts, HUES * len(parts))
    ]
    yield chart("Learning rate of each part", rates, bands=bands)
    others = dict.fromkeys(k for s in history.steps for k, v in s.items() if k not in PLACED and is_number(v))
    for key in others:
        yield chart(key.replace("_", " "), [Curve(label=key, points=thinned(history.curve(key), SMOOTH))], bands=bands)


def _profile(stage: Stage, count: int) -> list[Point]:
    """Return (masked per cent, mean loss) of the last quarter of a stage."""
    late = [s.get("buckets") or [] for s in stage.steps[-max(1, len(stage.steps) // 4) :]]
    points = []
    for i in range(count):
        values = [b[i] for b in late if i < len(b) and is_number(b[i])]
        if values:
            points.append((100 * (i + 0.5) / count, sum(values) / len(values)))
    return points


def _speed(history: History) -> Iterator[str]:
    for name, title in (("samples_per_s", "Samples per second"), ("matmul_share", PEAK.capitalize())):
        yield chart(title, [Curve(label=title, points=thinned(history.curve(name), SMOOTH))], from_zero=True)


def _stages(stages: Sequence[Stage]) -> str:
    rows, seen = [], 0
    for stage in stages:
        losses = [s["loss"] for s in stage.steps if is_number(s.get("loss"))]
        samples = stage.steps[-1].get("samples") or seen
        ends = [number(losses[0]), number(losses[-1])] if losses else ["", ""]
        rows.append([stage.name, number(stage.end), number(samples - seen), *ends])
        seen = samples
    return "<h2>Stages</h2>" + _table(["stage", "until step", "samples", "first loss", "last loss"], rows)


def _held_out(history: History) -> Iterator[str]:
    """Yield a chart of each held-out figure besides the loss, and all of them as a table."""
    names = dict.fromkeys(k for e in history.evals for k, v in e.items() if k != "step" and is_number(v))
    if not names:
        return
    yield "<h2>Held-out figures</h2>"
    for key in names:
        if key != "loss" and len(history.evals) > 1:
            yield chart(key.replace("_", " "), [Curve(label=key, points=history.curve(key, evals=True), hue=HUES[1])])
    cells = [[number(e[k]) if is_number(e.get(k)) else "" for k in ("step", *names)] for e in history.evals]
    yield _table(["step", *(k.replace("_", " ") for k in names)], cells)


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
    return (
        f'<div>{_pictures(image, folder)}<section><p class="dim">{escape(prompt)}</p>'
        f"<p><b>{escape(str(last.get('answer', '')))}</b> <span class=dim>(step {number(step)})</span></p>"
        f"<p>truth: {escape(str(last.get('truth', '')))}</p>{before}</section></div>"
    )


def _pictures(images: str, folder: Path) -> str:
    """Return an <img> for each picture, or the reason why there is none; a comma stands between several names."""
    names = [images] if _find(images, folder).exists() else images.split(", ")
    return "".join(_picture(name, _find(name, folder)) for name in names if name)


def _find(name: str, folder: Path) -> Path:
    return Path(name) if Path(name).exists() else folder / name


def _picture(name: str, path: Path) -> str:
    try:
        picture = open_image(path, name=name, any_shape=True)
    except ImageError as error:
        return f'<section class="dim">{escape(str(error))}</section>'
    picture.thumbnail((PICTURE, PICTURE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=82)
    code = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{code}">'


def _skipped(skipped: dict[str, str]) -> str:
    rows = [[name, reason] for name, reason in skipped.items()]
    return f"<h2>Skipped samples</h2>{_table(['sample', 'reason'], rows)}" if rows else ""


def _settings(starts: Sequence[Event]) -> str:
    """Return the fields of the last start."""
    if not starts:
        return ""
    text = json.dumps({k: v for k, v in starts[-1].items() if k != "event"}, indent=1, ensure_ascii=False)
    return f"<h2>Settings</h2><details><summary>as the run was started</summary><pre>{escape(text)}</pre></details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{"".join(f"<th>{escape(h)}</th>" for h in head)}</tr>{lines}</table></div>'
