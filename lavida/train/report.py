"""A run drawn into one HTML page that needs nothing beside it: `lavida train report RUN`.

What the trainer logs under another name than those below is drawn all the same, a chart for each.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from lavida.errors import ImageError
from lavida.image.load import open_image
from lavida.train.charts import HUES, Band, Curve, Point, chart, number, thinned
from lavida.train.history import Event, History, Stage, is_number, read_history

PAGE = "report.html"
SMOOTH, FINE = 60, 400  # points of a smoothed curve and of the faint one behind it
PICTURE = 260  # longest side of a picture on the page, pixels
STYLE = Path(__file__).with_name("report.css")
PEAK = "share of the machine's measured matmul peak"
# Why a run stopped, as its log says and as the page does.
ENDS = {"done": "all stages done", "time": "stopped in time", "broken": "stopped because its loss broke"}
# Fields of a step that have their own place on the page, or tell when rather than how well.
PLACED = frozenset("event step stage loss lr samples samples_per_s matmul_share buckets seconds time".split())


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
    """The page; pictures that the log names are looked for as they are named and in `folder`."""
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
    """How the run stands, in words."""
    begun = f"Started {len(history.starts)} times" if len(history.starts) > 1 else "Started once"
    if history.end is None:
        return f"{begun}; running still, or killed."
    reason, names = history.end.get("reason"), history.end.get("names")
    batch = f", in the batch of {', '.join(names)}" if names else ""
    return f"{begun}; {ENDS.get(reason, reason)} at step {number(history.steps[-1]['step'])}{batch}."


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
    """(masked per cent, mean loss) of the last quarter of a stage."""
    late = [s.get("buckets") or [] for s in stage.steps[-max(1, len(stage.steps) // 4) :]]
    points = []
    for i in range(count):
        values = [b[i] for b in late if i < len(b) and is_number(b[i])]
        if values:
            points.append((100 * (i + 0.5) / count, sum(values) / len(values)))
    return points


def _speed(history: History) -> Iterator[str]:
    for field, title in (("samples_per_s", "Samples per second"), ("matmul_share", PEAK.capitalize())):
        yield chart(title, [Curve(label=title, points=thinned(history.curve(field), SMOOTH))], from_zero=True)


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
    """A chart of each held-out figure besides the loss, and all of them as a table."""
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
    """A card for each held-out picture and prompt: the truth, the last answer, those before it folded away."""
    cards: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    for event in history.evals:
        for caption in event.get("captions") or ():
            key = (str(caption.get("image") or ""), str(caption.get("prompt", "")))
            cards.setdefault(key, []).append((event["step"], caption))
    body = "".join(_card(image, prompt, told, folder) for (image, prompt), told in cards.items())
    return f'<h2>Held-out captions</h2><div class="captions">{body}</div>' if body else ""


def _card(image: str, prompt: str, told: list[tuple[int, dict[str, Any]]], folder: Path) -> str:
    (step, last), earlier = told[-1], told[:-1]
    lines = "".join(f"<p>step {number(s)}: {escape(str(c.get('answer', '')))}</p>" for s, c in earlier)
    before = f'<details class="dim"><summary>earlier answers</summary>{lines}</details>' if earlier else ""
    return (
        f'<div>{_pictures(image, folder)}<section><p class="dim">{escape(prompt)}</p>'
        f"<p><b>{escape(str(last.get('answer', '')))}</b> <span class=dim>(step {number(step)})</span></p>"
        f"<p>truth: {escape(str(last.get('truth', '')))}</p>{before}</section></div>"
    )


def _pictures(images: str, folder: Path) -> str:
    """An <img> for each picture, or the reason why there is none; several names have a comma between them."""
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
    """What the last start said of itself."""
    if not starts:
        return ""
    text = json.dumps({k: v for k, v in starts[-1].items() if k != "event"}, indent=1, ensure_ascii=False)
    return f"<h2>Settings</h2><details><summary>as the run was started</summary><pre>{escape(text)}</pre></details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{"".join(f"<th>{escape(h)}</th>" for h in head)}</tr>{lines}</table></div>'
