"""C2: poems whose lines must begin with given syllables, against an autoregressive model free of constraints."""

from __future__ import annotations

import math
import random

from benchmarks.report import Report, Row
from lavida.api import Model
from mini.claims.captions import draw
from mini.claims.result import BY_SEED, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import Setting
from mini.eval.poem import LINES, STARTS, PoemTask, WrittenPoem, write_poem

METHODS = ("infilled", "constrained", "prompted", "twin prompted", "twin constrained")


def measure(setting: Setting) -> Result:
    """Count poems of which every line begins as asked."""
    tasks, count = [], setting.some(12, 2)
    for seed, own in enumerate(draw(setting.data, count, setting.seeds)):
        rng = random.Random(seed)
        tasks.append(
            [
                PoemTask(picture=picture, scene=scene, starts=tuple(rng.sample(STARTS, LINES)))
                for picture, scene in zip(own.pictures, own.scenes, strict=True)
            ]
        )
    found = {}
    for method in METHODS:
        model = setting.autoregressive if method.startswith("twin") else setting.ours
        found[method] = [[write(model, task, method.removeprefix("twin ")) for task in own] for own in tasks]
    return report(tasks, found)


def write(model: Model, task: PoemTask, method: str) -> WrittenPoem:
    """Write one poem; its likelihood is not computed."""
    lines, passes, seconds = write_poem(model, task, method)
    return WrittenPoem(lines=lines, passes=passes, seconds=seconds, likelihood=math.nan, twin_likelihood=math.nan)


def report(tasks: list[list[PoemTask]], found: dict[str, list[list[WrittenPoem]]]) -> Result:
    """Return the shares of poems and lines that were kept."""
    kept = {
        method: [[one.kept(task.starts) for task, one in zip(*own, strict=True)] for own in zip(tasks, by_seed)]
        for method, by_seed in found.items()
    }
    samples: dict[str, BY_SEED] = {m: [[float(all(p)) for p in own] for own in by_seed] for m, by_seed in kept.items()}
    lines = {m: [[float(line) for p in own for line in p] for own in by_seed] for m, by_seed in kept.items()}
    n = sum(map(len, tasks))
    checks = (
        check("poems kept by infilling", samples["infilled"], paper="1.00", bound=1.0, reached=True),
        check("poems kept under the template", samples["constrained"], paper="1.00", bound=1.0, reached=True),
        check(
            "poems kept: infilling less the twin free of constraints",
            paired(samples["infilled"], samples["twin prompted"]),
            paper="+0.63 (LLaVA-1.6-7B 0.37), +0.84 (Qwen2.5-VL-7B 0.16)",
        ),
    )
    rows = tuple((m, mean_of(lines[m]), mean_of(samples[m])) for m in METHODS if m in found)
    return Result(
        claim="C2",
        measured=f"{n} poems of {LINES} lines about new scenes, each with its own beginnings, by today's weights and "
        "the twin.",
        checks=checks,
        tables=(Table(head=("method", "lines kept", "poems kept"), rows=rows),),
        charts=(
            Report(
                name="C2", title="Poems of which every line begins as asked", x="", y="share of poems",
                rows=tuple(Row(series=m, x="poems", values=seed_means(samples[m])) for m in METHODS if m in found),
            ),
        ),
        notes=(
            "Infilling keeps the beginnings by construction: they stand in the draft before anything is written. What "
            "is measured is that nothing breaks on the way.",
            "No model here was trained on such a prompt, so `prompted` shows what asking in words is worth to models "
            "that never learnt it, not what an instructed model of 7 B reaches.",
            "Held to the same template, the twin keeps the beginnings too: the template is not the diffusion model's "
            "alone (row `twin constrained`).",
        ),
    )  # fmt: skip
