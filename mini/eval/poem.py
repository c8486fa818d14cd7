"""Evaluation of poems about pictures whose lines must begin with given syllables.

python -m mini eval poem --data FOLDER --twin FOLDER --out FOLDER

The poem benchmark of arXiv 2505.16839, rebuilt: pictures, four syllables for each that its lines begin with, and five
methods. The diffusion model fills a draft that holds the starts ("infilled"), is held to a template
("constrained"), or is asked in words ("prompted"). Its autoregressive twin is asked in words or held to the same
template from left to right.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lavida.constrain.template import Hole, Template, poem
from lavida.errors import RequestError
from lavida.eval.metrics import mean, without_nan
from lavida.text.words import words
from mini.data.atlas import Atlas
from mini.data.scenes import Scene
from mini.eval.metrics import noun_scores
from mini.eval.splits import SPLITS, pictures

if TYPE_CHECKING:
    from lavida.api import Model

STARTS = "A Be Ca De Fa Gr Ha In La Ma No Pa Re So The Un Wi".split()
LINES, SPLIT = 4, "i"
TOKENS = 7  # of a line that is filled in; a line that is held to a template has 3 to so many words
CANVAS = 40
QUESTION = "Describe the image."
Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PoemTask:
    """Hold one picture and the starts of the lines of its poem."""

    picture: Image.Image
    scene: Scene
    starts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WrittenPoem:
    """Hold one poem; likelihoods are nats per token, after a question that does not mention the starts."""

    lines: tuple[str, ...]
    passes: int
    seconds: float
    likelihood: float  # by the diffusion model: a bound
    twin_likelihood: float  # by the twin, exact

    def kept(self, starts: Sequence[str]) -> list[bool]:
        """Report for each line that was asked for whether it is there and begins as asked."""
        found = [*self.lines, *("" for _ in starts)]
        return [line.startswith(start) for line, start in zip(found, starts)]


def draw_tasks(data: Path, count: int, seed: int) -> list[PoemTask]:
    """Draw pictures of the held-out scenes, each with its own starts; the same for the same seed."""
    atlas, rng = Atlas.load(data), random.Random(seed)
    tasks = []
    for pixels, scene, _ in pictures(atlas, SPLITS[SPLIT]):
        if len(tasks) == count:
            break
        picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        tasks.append(PoemTask(picture=picture, scene=scene, starts=tuple(rng.sample(STARTS, LINES))))
    return tasks


def prompt_with_starts(starts: Sequence[str]) -> str:
    """Return the question with the constraint in words."""
    *first, last = starts
    return f"{QUESTION[:-1]} in {len(starts)} lines that begin with {', '.join(first)} and {last}."


def template_of(starts: Sequence[str]) -> Template:
    """Return the template of the constrained methods."""
    return poem(starts, words=(3, TOKENS))


def draft_of(starts: Sequence[str]) -> Template:
    """Return the template of the infilled method: each start, then a number of free tokens."""
    lines = [Hole(start=start, least=TOKENS, most=TOKENS) for start in starts]
    return Template(parts=tuple(part for line in lines for part in ("\n", line))[1:])


def write_poem(model: Model, task: PoemTask, method: str) -> tuple[tuple[str, ...], int, float]:
    """Write one poem; return (lines, forward passes, seconds).

    `method` is infilled, constrained or prompted.
    """
    start = time.perf_counter()
    if method == "prompted":
        answer = model.ask(task.picture, prompt_with_starts(task.starts), length=CANVAS)
    else:
        template = template_of(task.starts) if method == "constrained" else draft_of(task.starts)
        answer = model.ask(task.picture, QUESTION, length=CANVAS, template=template)
    lines = tuple(line.strip() for line in answer.text.split("\n") if line.strip())
    return lines, answer.steps, time.perf_counter() - start


def likelihood(model: Model, task: PoemTask, lines: Sequence[str]) -> float:
    """Return nats per token of a poem, nan if it has no line."""
    if not any(lines):
        return math.nan
    found = model.log_likelihood(task.picture, QUESTION, "\n".join(lines), rounds=4)
    return found.value / found.tokens


def evaluate(
    model: Model, twin: Model | None, tasks: Sequence[PoemTask], log: Log = print
) -> dict[str, list[WrittenPoem]]:
    """Run every method on every task. Raises RequestError if the twin is not autoregressive."""
    methods = {"infilled": model, "constrained": model, "prompted": model}
    if twin is not None:
        if not twin.net.config.denoiser.autoregressive:
            raise RequestError("the twin writes in any order; give a model of `python -m mini train --objective ar`")
        methods |= {"twin constrained": twin, "twin prompted": twin}
    found: dict[str, list[WrittenPoem]] = {method: [] for method in methods}
    for place, task in enumerate(tasks):
        for method, writer in methods.items():
            lines, passes, seconds = write_poem(writer, task, method.removeprefix("twin "))
            found[method].append(
                WrittenPoem(
                    lines=lines,
                    passes=passes,
                    seconds=seconds,
                    likelihood=likelihood(model, task, lines),
                    twin_likelihood=likelihood(twin, task, lines) if twin is not None else math.nan,
                )
            )
        if (place + 1) % 10 == 0:
            log(f"{place + 1} of {len(tasks)} pictures")
    return found


def figures(tasks: Sequence[PoemTask], written: Sequence[WrittenPoem]) -> dict[str, float]:
    """Compute the figures of one method."""
    kept = [one.kept(task.starts) for task, one in zip(tasks, written, strict=True)]
    recall, precision = noun_scores([" ".join(one.lines) for one in written], [t.scene.counts for t in tasks])
    return {
        "sentence": mean(float(line) for lines in kept for line in lines),
        "sample": mean(float(all(lines)) for lines in kept),
        "likelihood": mean(one.likelihood for one in written),
        "twin_likelihood": mean(one.twin_likelihood for one in written),
        "noun_recall": recall,
        "noun_precision": precision,
        "distinct": mean(distinct(one.lines) for one in written),
        "passes": mean(float(one.passes) for one in written),
        "seconds": mean(one.seconds for one in written),
    }


def distinct(lines: Sequence[str]) -> float:
    """Return the share of distinct pairs of neighbouring words of a poem; nan of fewer than two words."""
    by_line = [words(line) for line in lines]
    pairs = Counter(pair for line in by_line for pair in zip(line, line[1:]))
    return len(pairs) / pairs.total() if pairs else math.nan


def as_table(results: dict[str, Any]) -> str:
    """Return the figures of all methods as Markdown."""
    rows = [
        f"| {method} | " + " | ".join(f"{row[name]:.{digits}f}" for name, _, digits in _COLUMNS) + " |"
        for method, row in results["methods"].items()
    ]
    return "\n".join(
        [f"| method | {' | '.join(title for _, title, _ in _COLUMNS)} |", "|---" * (len(_COLUMNS) + 1) + "|", *rows]
    )


_COLUMNS = (
    ("sentence", "sentences kept", 2),
    ("sample", "samples kept", 2),
    ("likelihood", "nats a token (diffusion, bound)", 2),
    ("twin_likelihood", "nats a token (twin)", 2),
    ("noun_recall", "noun recall", 2),
    ("noun_precision", "noun precision", 2),
    ("distinct", "distinct pairs", 2),
    ("passes", "passes", 1),
    ("seconds", "seconds", 2),
)


def main(
    model_folder: str | Path | None,
    data: Path,
    out: Path,
    *,
    twin_folder: str | Path | None = None,
    count: int = 100,
    seed: int = 0,
    log: Log = print,
) -> dict[str, Any]:
    """Write poem.json with all poems into `out` and return its contents. Raises RequestError, DataError."""
    from lavida.api import load  # the interface sits beside this layer and is needed for loading only

    model = load(model_folder)
    twin = None if twin_folder is None else load(twin_folder)
    tasks = draw_tasks(data, count, seed)
    found = evaluate(model, twin, tasks, log)
    results = {
        "seed": seed,
        "pictures": len(tasks),
        "methods": {method: figures(tasks, written) for method, written in found.items()},
        "starts": [task.starts for task in tasks],
        "poems": {method: [asdict(one) for one in written] for method, written in found.items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(without_nan(results), indent=1, ensure_ascii=False)
    (out / "poem.json").write_text(text + "\n", encoding="utf-8")
    log(as_table(results))
    return results
