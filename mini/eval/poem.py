"""Poems about pictures whose lines must begin as told: who keeps to it, and what it costs in likelihood.

python -m mini eval poem --data FOLDER --twin FOLDER --out FOLDER

The poem benchmark of arXiv 2505.16839, rebuilt: pictures, for each of them four syllables that its lines
begin with, and five writers. Two are the diffusion model, which fills a draft in ("infilled", the starts being given)
or is held to a template ("constrained"); "prompted" is told in words. The last two are its autoregressive twin, told
in words or held to the same template from left to right.
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

from lavida.constrain.poem import poem
from lavida.constrain.template import Hole, Template
from lavida.errors import RequestError
from lavida.eval.metrics import mean, without_nan, words
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
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One picture and how the lines of its poem are to begin."""

    picture: Image.Image
    scene: Scene
    starts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Written:
    """One poem; likelihoods in nats by token, of what is to be said about the picture without any instruction."""

    lines: tuple[str, ...]
    passes: int
    seconds: float
    likelihood: float  # by the diffusion model: a bound
    twin_likelihood: float  # by the twin, exact

    def kept(self, starts: Sequence[str]) -> list[bool]:
        """Whether each line that was asked for is there and begins as told."""
        found = [*self.lines, *("" for _ in starts)]
        return [line.startswith(start) for line, start in zip(found, starts)]


def draw_tasks(data: Path, count: int, seed: int) -> list[Task]:
    """Pictures of the held-out scenes, each with its own starts; the same for the same seed."""
    atlas, rng = Atlas.load(data), random.Random(seed)
    tasks = []
    for pixels, scene, _ in pictures(atlas, SPLITS[SPLIT]):
        if len(tasks) == count:
            break
        picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        tasks.append(Task(picture=picture, scene=scene, starts=tuple(rng.sample(STARTS, LINES))))
    return tasks


def told(starts: Sequence[str]) -> str:
    """The question with the constraint in words."""
    *first, last = starts
    return f"{QUESTION[:-1]} in {len(starts)} lines that begin with {', '.join(first)} and {last}."


def template_of(starts: Sequence[str]) -> Template:
    """What the constrained arms are held to."""
    return poem(starts, words=(3, TOKENS))


def draft_of(starts: Sequence[str]) -> Template:
    """What the infilled arm is given: each start, then so many tokens, and nothing said of them."""
    lines = [Hole(start=start, least=TOKENS, most=TOKENS) for start in starts]
    return Template(parts=tuple(part for line in lines for part in ("\n", line))[1:])


def write_poem(model: Model, task: Task, arm: str) -> tuple[tuple[str, ...], int, float]:
    """(lines, forward passes, seconds) of one poem; `arm` is infilled, constrained or prompted."""
    start = time.perf_counter()
    if arm == "prompted":
        answer = model.ask(task.picture, told(task.starts), length=CANVAS)
    else:
        template = template_of(task.starts) if arm == "constrained" else draft_of(task.starts)
        answer = model.ask(task.picture, QUESTION, length=CANVAS, template=template)
    lines = tuple(line.strip() for line in answer.text.split("\n") if line.strip())
    return lines, answer.steps, time.perf_counter() - start


def likelihood(model: Model, task: Task, lines: Sequence[str]) -> float:
    """Nats by token of a poem, nan if there is none."""
    if not any(lines):
        return math.nan
    found = model.log_likelihood(task.picture, QUESTION, "\n".join(lines), rounds=4)
    return found.value / found.tokens


def evaluate(model: Model, twin: Model | None, tasks: Sequence[Task], say: Say = print) -> dict[str, list[Written]]:
    """Every arm on every task."""
    arms = {"infilled": model, "constrained": model, "prompted": model}
    if twin is not None:
        if not twin.net.config.denoiser.autoregressive:
            raise RequestError("the twin writes in any order; give a model of `python -m mini train --objective ar`")
        arms |= {"twin constrained": twin, "twin prompted": twin}
    found: dict[str, list[Written]] = {arm: [] for arm in arms}
    for place, task in enumerate(tasks):
        for arm, writer in arms.items():
            lines, passes, seconds = write_poem(writer, task, arm.removeprefix("twin "))
            found[arm].append(
                Written(
                    lines=lines,
                    passes=passes,
                    seconds=seconds,
                    likelihood=likelihood(model, task, lines),
                    twin_likelihood=likelihood(twin, task, lines) if twin is not None else math.nan,
                )
            )
        if (place + 1) % 10 == 0:
            say(f"{place + 1} of {len(tasks)} pictures")
    return found


def figures(tasks: Sequence[Task], written: Sequence[Written]) -> dict[str, float]:
    """The figures of one arm."""
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
    """Share of the pairs of neighbouring words that a poem says once; nan of fewer than two words."""
    said = [words(line) for line in lines]
    pairs = Counter(pair for line in said for pair in zip(line, line[1:]))
    return len(pairs) / pairs.total() if pairs else math.nan


def as_table(results: dict[str, Any]) -> str:
    """The figures of all arms as Markdown."""
    rows = [
        f"| {arm} | " + " | ".join(f"{row[name]:.{digits}f}" for name, _, digits in _COLUMNS) + " |"
        for arm, row in results["arms"].items()
    ]
    return "\n".join(
        [f"| arm | {' | '.join(title for _, title, _ in _COLUMNS)} |", "|---" * (len(_COLUMNS) + 1) + "|", *rows]
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
    say: Say = print,
) -> dict[str, Any]:
    """Write poem.json with all poems into `out`; returns what it holds. Raises RequestError, DataError."""
    from lavida.api import load  # the interface sits beside this layer and is needed for loading only

    model = load(model_folder)
    twin = None if twin_folder is None else load(twin_folder)
    tasks = draw_tasks(data, count, seed)
    found = evaluate(model, twin, tasks, say)
    results = {
        "seed": seed,
        "pictures": len(tasks),
        "arms": {arm: figures(tasks, written) for arm, written in found.items()},
        "starts": [task.starts for task in tasks],
        "poems": {arm: [asdict(one) for one in written] for arm, written in found.items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(without_nan(results), indent=1, ensure_ascii=False)
    (out / "poem.json").write_text(text + "\n", encoding="utf-8")
    say(as_table(results))
    return results
