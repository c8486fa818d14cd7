"""Draw the animated pictures of the concept pages by running the code that they explain: docs/concepts/*.svg.

    python -m benchmarks.pictures                 # all of them
    python -m benchmarks.pictures masking engine  # some

Everything in them is what lavida-mini and its decoding did with the demo photograph. An SVG holds no script.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import torch

import lavida
from benchmarks.harness import PHOTO, ROOT
from lavida.api import Draft, Model
from lavida.constrain.canvas import constraint_of
from lavida.constrain.language import regex_language
from lavida.diffusion.masking import complementary, draw_masks
from lavida.diffusion.schedule import unmask_counts
from lavida.engine import Engine, Ticket

OUT = ROOT / "docs" / "concepts"
FRAME, HOLD = 0.8, 2.4  # seconds of a frame, and of the last one besides
CELL, LINE, MARGIN, SIZE = 17, 30, 20, 14  # pixels: a cell, a line, the border, the font
SHEET, DIM, BRIGHT, WRITTEN = "#14181f", "#8b98a9", "#e8edf4", "#24303f"
MASK, FULL, WARM = "#3b5b8c", "#4fa37b", "#d9a441"
SENTENCE = "a photo of a brown cat sitting on a mat."


@dataclass(kw_only=True)
class Film:
    """Collect shapes of an animation; what a shape is like may differ from frame to frame."""

    title: str
    frames: int
    width: int
    height: int
    body: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, width: float, height: float, fills: Sequence[str]) -> None:
        """Add a box with one colour for each frame, "none" where it is not seen."""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"'
        self.body.append(f'<rect {place} fill="{fills[-1]}">{self._change("fill", fills)}</rect>')

    def text(self, x: float, y: float, texts: Sequence[str] | str, *, fill: str = BRIGHT, width: float = 0) -> None:
        """Add text, one for each frame or always the same; with a width it is centred in it."""
        place = f'x="{x + width / 2:g}" y="{y:g}" fill="{fill}"' + (' text-anchor="middle"' if width else "")
        if isinstance(texts, str):
            self.body.append(f"<text {place}>{escape(texts)}</text>")
            return
        for one in dict.fromkeys(filter(None, texts)):
            seen = ["1" if text == one else "0" for text in texts]
            change = self._change("opacity", seen)
            self.body.append(f'<text {place} opacity="{seen[-1]}">{escape(one)}{change}</text>')

    def _change(self, name: str, values: Sequence[str]) -> str:
        assert len(values) == self.frames
        if len(set(values)) == 1:
            return ""
        total = self.frames * FRAME + HOLD
        kept = [i for i in range(self.frames) if i == 0 or values[i] != values[i - 1]]
        times = ";".join(f"{i * FRAME / total:.4g}" for i in kept)
        listed = ";".join(values[i] for i in kept)
        return (
            f'<animate attributeName="{name}" values="{listed}" keyTimes="{times}" calcMode="discrete" '
            f'dur="{total:.4g}s" repeatCount="indefinite"/>'
        )

    def svg(self) -> str:
        """Return the document."""
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}"'
        font = f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{SIZE}" xml:space="preserve"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<title>{escape(self.title)}</title>'
        sheet = f'<rect width="100%" height="100%" rx="10" fill="{SHEET}"/>'
        return "\n".join([head, sheet, f"<g {font}>", *self.body, "</g>", "</svg>", ""])


def masking(model: Model) -> Film:
    """Show two complementary copies of a sentence at growing masking probabilities."""
    pieces = [model.tokenizer.decode([i]) for i in model.tokenizer.encode(SENTENCE)]
    answer, generator = torch.ones(1, len(pieces), dtype=torch.bool), torch.Generator().manual_seed(4)
    times = [0.1, 0.3, 0.5, 0.7, 0.9]
    drawn = [complementary(draw_masks(answer, torch.tensor([p]), generator), answer) for p in times]
    widths = _widths(pieces)
    film = Film(
        title="The forward process: complementary masks", frames=len(times),
        width=round(sum(widths)) + 2 * MARGIN + 90, height=4 * LINE + 2 * MARGIN,
    )  # fmt: skip
    film.text(MARGIN, MARGIN + SIZE, [f"each token is masked with probability {p:g}" for p in times], fill=DIM)
    for row, name in enumerate(("copy 1", "copy 2")):
        y = MARGIN + (row * 1.4 + 1.3) * LINE
        film.text(MARGIN, y + LINE * 0.56, name, fill=DIM)
        masks = [pair[row][0].tolist() for pair in drawn]
        rows = [[None if m else p for m, p in zip(mask, pieces)] for mask in masks]
        _tokens(film, MARGIN + 90, y, widths, rows, fresh=False)
    return film


def prefix_cache(model: Model) -> Film:
    """Count the positions that the denoiser computes at each step, with and without the cache."""
    steps = 8
    counts = {cache: _positions(model, cache, steps) for cache in ("none", "prefix")}
    frames = steps + 1
    scale = 620 / sum(counts["none"])
    title = "Positions computed with and without a prefix cache"
    film = Film(title=title, frames=frames, width=660, height=6 * LINE + MARGIN)
    for row, (cache, rows) in enumerate(counts.items()):
        y, x = MARGIN + row * 2.4 * LINE, float(MARGIN)
        sums = [sum(rows[: k + 1]) for k in range(frames)]
        film.text(
            MARGIN, y + SIZE, [f"cache={cache}, step {k}: {total:,} positions so far" for k, total in enumerate(sums)],
            fill=DIM,
        )  # fmt: skip
        for k, computed in enumerate(rows):
            colour = WARM if k == 0 else MASK if cache == "none" else FULL
            fills = [colour if frame >= k else SHEET for frame in range(frames)]
            if computed:
                film.rect(x, y + LINE * 0.8, computed * scale - 1, LINE * 0.9, fills)
                x += computed * scale
    last = MARGIN + 4.8 * LINE
    prompt, canvas = counts["prefix"][:2]
    film.text(MARGIN, last + SIZE, f"prompt of {prompt} positions, canvas of {canvas}", fill=DIM)
    return film


def schedule_shift(model: Model) -> Film:
    """Fill 32 places in 8 steps by four schedules."""
    length, steps = 32, 8
    plans = {
        "shift 1/3": unmask_counts(length, steps, "shift", 1 / 3),
        "linear": unmask_counts(length, steps, "linear"),
        "cosine": unmask_counts(length, steps, "cosine"),
        "shift 3": unmask_counts(length, steps, "shift", 3),
    }
    film = Film(
        title="Tokens committed by step under four schedules", frames=steps + 1,
        width=length * CELL + 2 * MARGIN + 100, height=round(5.4 * LINE) + MARGIN,
    )  # fmt: skip
    film.text(MARGIN, MARGIN + SIZE, [f"after step {k} of {steps}" for k in range(steps + 1)], fill=DIM)
    for row, (name, counts) in enumerate(plans.items()):
        y, done = MARGIN + (row + 1.2) * LINE, [sum(counts[:k]) for k in range(steps + 1)]
        film.text(MARGIN, y + SIZE, name, fill=DIM)
        for i in range(length):
            fills = [MASK if i >= done[k] else WARM if k and i >= done[k - 1] else FULL for k in range(steps + 1)]
            film.rect(MARGIN + 100 + i * CELL, y, CELL - 2, CELL + 2, fills)
    return film


def remasking(model: Model) -> Film:
    """Write the same answer, the surest tokens first and in a random order."""
    runs = {
        measure: list(model.stream(PHOTO, "Describe the image.", steps=8, remasking=measure))
        for measure in ("confidence", "random")
    }
    frames = 1 + max(map(len, runs.values()))
    canvases = {name: _canvases(drafts, frames) for name, drafts in runs.items()}
    columns = [
        max(_width(row[i] or "") for rows in canvases.values() for row in rows)
        for i in range(max(_shown(rows[-1]) for rows in canvases.values()))
    ]
    film = Film(
        title="What is committed first: the surest tokens, or random ones", frames=frames,
        width=round(sum(columns)) + 2 * MARGIN, height=round(5.4 * LINE) + MARGIN,
    )  # fmt: skip
    film.text(MARGIN, MARGIN + SIZE, [f"after step {k}" for k in range(frames)], fill=DIM)
    for row, (name, rows) in enumerate(canvases.items()):
        y = MARGIN + (row * 2.1 + 1.2) * LINE
        film.text(MARGIN, y + SIZE, f"remasking={name}", fill=DIM)
        _tokens(film, MARGIN, y + LINE * 0.8, columns, [one[: len(columns)] for one in rows])
    return film


def constraints(model: Model) -> Film:
    """Show how many tokens each open position may take while an answer is held to a regex."""
    pattern, length = r"a photo of an? [a-z]+ (cat|dog)\.", 10
    drafts = list(model.stream(PHOTO, "What is this?", regex=pattern, length=length, steps=4))
    denoiser = model.net.config.denoiser
    constraint = constraint_of(regex_language(pattern), model.tokenizer, denoiser)
    blank = torch.full((length,), denoiser.mask_id)
    canvases = [blank, *(draft.step.canvas for draft in drafts)]
    rows, told = [], []
    for ids, pieces in zip(canvases, [(None,) * length, *(draft.pieces for draft in drafts)]):
        places = (ids == denoiser.mask_id).nonzero().flatten()
        counts = dict(zip(places.tolist(), constraint.allowed(ids, places).sum(-1).tolist()))
        rows.append([None if piece is None else piece or "end" for piece in pieces])
        told.append([f"{counts[i]:,}" if i in counts else "" for i in range(length)])
    widths = [max([60.0, *(_width(row[i] or "") for row in rows)]) for i in range(length)]
    film = Film(
        title="Tokens that a regex leaves to each open position", frames=len(rows),
        width=round(sum(widths)) + 2 * MARGIN, height=4 * LINE + MARGIN,
    )  # fmt: skip
    film.text(MARGIN, MARGIN + SIZE, f"regex: {pattern}", fill=DIM)
    _tokens(film, MARGIN, MARGIN + 1.1 * LINE, widths, rows)
    x = float(MARGIN)
    for i, width in enumerate(widths):
        film.text(x, MARGIN + 2.6 * LINE, [one[i] for one in told], fill=WARM, width=width - 3)
        x += width
    film.text(MARGIN, MARGIN + 3.6 * LINE, f"tokens allowed, of {denoiser.vocab_size:,}", fill=DIM)
    return film


def engine(model: Model) -> Film:
    """Show which of six requests share each forward pass, and when they come and go."""
    asked = [("What is this?", 4, 0), ("Describe the image.", 12, 0), ("Is there a dog in the picture?", 4, 0),
             ("How many cats are there?", 8, 3), ("Where is the cat?", 6, 5), ("What colour is it?", 3, 8)]  # fmt: skip
    turns: list[list[int]] = []
    tickets: dict[int, Ticket] = {}
    worker, more = Engine(model), True
    while more or len(tickets) < len(asked):
        for number, (question, steps, turn) in enumerate(asked):
            if turn == len(turns):
                tickets[number] = worker.submit(PHOTO, question, steps=steps, early_stop=False)
        before = {number: ticket.request.job.last for number, ticket in tickets.items()}
        more = worker.turn()
        turns.append([n for n, ticket in tickets.items() if ticket.request.job.last is not before[n]])
    frames = len(turns) + 1
    film = Film(
        title="Six requests in one engine", frames=frames, width=300 + len(turns) * (CELL + 8) + 2 * MARGIN,
        height=(len(asked) + 2) * LINE + MARGIN,
    )  # fmt: skip
    film.text(
        MARGIN, MARGIN + SIZE,
        ["", *(f"pass {k}: {len(done)} answers share it" for k, done in enumerate(turns, 1))], fill=DIM,
    )  # fmt: skip
    for number, (question, *_) in enumerate(asked):
        y = MARGIN + (number + 1.4) * LINE
        film.text(MARGIN, y + SIZE, question, fill=DIM)
        for k, done in enumerate(turns):
            if number in done:
                fills = [SHEET if frame <= k else WARM if frame == k + 1 else FULL for frame in range(frames)]
                film.rect(MARGIN + 300 + k * (CELL + 8), y, CELL + 6, CELL + 2, fills)
    return film


def _positions(model: Model, cache: str, steps: int) -> list[int]:
    """Return the positions that are computed before the first step, and at each step."""
    counts: list[int] = []
    model.forget()
    hook = model.net.denoiser.register_forward_pre_hook(lambda _, args: counts.append(args[0].shape[1]))
    model.ask(PHOTO, "What is this?", steps=steps, cache=cache, early_stop=False)
    hook.remove()
    return [sum(counts[:-steps]), *counts[-steps:]]


def _canvases(drafts: Sequence[Draft], frames: int) -> list[list[str | None]]:
    """Return the pieces of each frame: all masked first, and the last draft to the end."""
    rows: list[list[str | None]] = [[None] * len(drafts[0].pieces), *(list(draft.pieces) for draft in drafts)]
    return rows + [rows[-1]] * (frames - len(rows))


def _shown(row: Sequence[str | None]) -> int:
    """Return the number of positions up to the last that holds text."""
    return max(i for i, piece in enumerate(row) if piece) + 1


def _width(piece: str) -> float:
    return max(24.0, len(piece.strip()) * SIZE * 0.62 + 10)


def _widths(pieces: Sequence[str]) -> list[float]:
    return [_width(piece) for piece in pieces]


def _tokens(
    film: Film, x: float, y: float, widths: Sequence[float], frames: Sequence[Sequence[str | None]], fresh: bool = True
) -> None:
    """Add a row of boxes that hold a token, nothing behind the end, or a mask (None); what is `fresh` is marked."""
    for i, width in enumerate(widths):
        row = [frame[i] for frame in frames]
        fills = [MASK if piece is None else WRITTEN if piece else SHEET for piece in row]
        for k in range(1, len(row)):
            if fresh and row[k] and row[k - 1] is None:
                fills[k] = FULL
        film.rect(x, y, width - 3, LINE * 0.8, fills)
        film.text(x, y + LINE * 0.56, [(piece or "").strip() for piece in row], width=width - 3)
        x += width


PICTURES: dict[str, Callable[[Model], Film]] = {
    "masking": masking,
    "prefix-cache": prefix_cache,
    "schedule-shift": schedule_shift,
    "remasking": remasking,
    "constraints": constraints,
    "engine": engine,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PICTURES)}; default: all")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = lavida.load()
    for name in args.names or PICTURES:
        path = args.out / f"{name}.svg"
        path.write_text(PICTURES[name](model).svg(), encoding="utf-8")
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
