"""C3, C6 and C8: what the number of passes, the schedule and the order of committing do to captions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.report import Report, Row
from mini.claims.captions import Captions, draw, passes
from mini.claims.result import BY_SEED, Check, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import Setting

KINDS = {"caption": 16, "detailed": 32}  # what is written, and the length of the canvas
NAMES = {"caption": "plain", "detailed": "detailed"}
STEPS = {"caption": (16, 12, 8, 4, 2, 1), "detailed": (32, 24, 16, 8, 4, 2)}
SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "linear": {"schedule": "linear", "shift": 1.0},
    "cosine": {"schedule": "cosine", "shift": 1.0},
    "shift 1/3": {"schedule": "shift", "shift": 1 / 3},
    "shift 3": {"schedule": "shift", "shift": 3.0},
}
DEFAULTS = {"schedule": "shift", "shift": 1 / 3, "remasking": "confidence"}  # of lavida-mini
PUBLISHED = {  # CIDEr at 25, 50, 75 % of the passes; 117.3 at 100 % by every schedule
    "linear": (84.9, 105.2, 108.6), "cosine": (87.7, 102.2, 110.8), "shift 1/3": (101.1, 114.8, 117.3),
    "shift 3": (48.7, 74.7, 92.4),
}  # fmt: skip
FULL = 117.3
SHARES = (0.25, 0.5, 0.75)
ENOUGH = 0.95  # of the best quality, where C8 counts passes
Scores = dict[tuple[str, str, int], BY_SEED]  # by kind, arm and passes


def measure_passes(setting: Setting) -> Result:
    """C3: fewer passes under the default schedule."""
    scores, made = tried(setting, {"confidence": {}}, STEPS)
    return report_passes(scores, made, counts(setting), setting.seeds)


def measure_schedules(setting: Setting) -> Result:
    """C6: four schedules at a quarter, half and three quarters of the passes, and at all of them."""
    some = {kind: tuple(int(length * share) for share in SHARES) for kind, length in KINDS.items()}
    scores, made = tried(setting, SCHEDULES, some)
    whole, _ = tried(setting, {"any": {}}, {kind: (length,) for kind, length in KINDS.items()})
    return report_schedules(scores | whole, made, counts(setting), setting.seeds)


def measure_orders(setting: Setting) -> Result:
    """C8: the surest tokens first, or any."""
    some = {"confidence": {"remasking": "confidence"}, "random": {"remasking": "random"}}
    scores, _ = tried(setting, some, STEPS)
    return report_orders(scores, counts(setting), setting.seeds)


def counts(setting: Setting) -> dict[str, int]:
    """Return the number of scenes of each seed."""
    return {"caption": setting.some(80, 6), "detailed": setting.some(40, 3)}


def tried(
    setting: Setting, options: Mapping[str, Mapping[str, Any]], steps: Mapping[str, Sequence[int]]
) -> tuple[Scores, dict[tuple[str, str, int], float]]:
    """Return scores and passes of each arm and number of passes; what another claim has tried is not tried again."""
    scores: Scores = {}
    made = {}
    for kind, n in counts(setting).items():
        make = partial(captions_of, setting, kind, n)
        captions = setting.once(("captions", kind), make)
        for name, given in options.items():
            for k in steps[kind]:
                chosen = {**DEFAULTS, "length": KINDS[kind], "steps": k, **given}
                if k == KINDS[kind] and chosen["remasking"] != "random":  # a token a pass, whatever the schedule
                    chosen |= DEFAULTS
                written = setting.once((kind, *chosen.items()), partial(captions.write, chosen))
                scores[kind, name, k], made[kind, name, k] = captions.scores(written), passes(written)
    return scores, made


def captions_of(setting: Setting, kind: str, n: int) -> Captions:
    """Return the captions of n scenes of each seed."""
    return Captions(setting.ours, draw(setting.data, n, setting.seeds), kind)


def kept(scores: Scores, kind: str, arm: str, k: int, base: tuple[str, int], share: float, paper: str) -> Check:
    """Return the comparison with a share of another arm's mean quality."""
    whole = scores[kind, base[0], base[1]]
    bound = -(1 - share) * mean_of(whole)
    name = f"CIDEr-D of {NAMES[kind]} captions, {k} passes less {base[1]}: at least {bound:.3f}"
    return check(name, paired(scores[kind, arm, k], whole), paper=paper, bound=bound, reached=True)


def told(n: Mapping[str, int], seeds: int) -> str:
    """Return what was written, in words."""
    listed = " and ".join(f"{seeds} x {n[kind]} {NAMES[kind]} captions (canvas of {KINDS[kind]})" for kind in n)
    return f"{listed} of new scenes, by today's weights"


def report_passes(scores: Scores, made: Mapping, n: Mapping[str, int], seeds: int) -> Result:
    """Return whether half and a quarter of the passes keep the paper's shares."""
    checks = []
    for kind, length in KINDS.items():
        half, quarter = 114.8 / FULL, 101.1 / FULL
        base = ("confidence", length)
        checks += [
            kept(
                scores, kind, "confidence", length // 2, base, half, f"{half:.3f} of the quality at half of the passes"
            ),
            kept(scores, kind, "confidence", length // 4, base, quarter, f"{quarter:.3f} at a quarter"),
        ]
    rows = tuple(
        (NAMES[kind], str(k), made[kind, arm, k], mean_of(own), mean_of(own) / mean_of(scores[kind, arm, KINDS[kind]]))
        for (kind, arm, k), own in scores.items()
    )
    head = ("captions", "K", "passes made", "CIDEr-D", "of that at K = L")
    return Result(
        claim="C3", measured=f"{told(n, seeds)}.", checks=tuple(checks), tables=(Table(head=head, rows=rows),),
        charts=(lines("C3", "CIDEr-D by number of passes", scores),),
        notes=(
            "A plain caption has some 7 tokens and its canvas 16 places, a detailed one some 19 and 32; the rest are "
            "end tokens.",
        ),
    )  # fmt: skip


def report_schedules(scores: Scores, made: Mapping, n: Mapping[str, int], seeds: int) -> Result:
    """Return whether shift 1/3 is ahead of the others where the paper says so most: at a quarter of the passes."""
    checks, rows, best = [], [], "shift 1/3"
    for kind, length in KINDS.items():
        k = length // 4
        for name in SCHEDULES:
            if name != best:
                figures = f"{PUBLISHED[best][0]} against {PUBLISHED[name][0]}"
                differences = paired(scores[kind, best, k], scores[kind, name, k])
                checks.append(check(f"{NAMES[kind]} captions at 25 %: {best} less {name}", differences, paper=figures))
        whole = mean_of(scores[kind, "any", length])
        for name in SCHEDULES:
            own = [mean_of(scores[kind, name, int(length * share)]) for share in SHARES]
            paper = ", ".join(f"{value:g}" for value in (*PUBLISHED[name], FULL))
            rows.append((NAMES[kind], name, *own, whole, paper))
    head = ("captions", "schedule", "25 %", "50 %", "75 %", "100 %", "the paper's, COCO")
    shown = {key: own for key, own in scores.items() if key[1] != "any"}
    return Result(
        claim="C6", measured=f"{told(n, seeds)}; at 100 % every schedule commits a token a pass: measured once.",
        checks=tuple(checks), tables=(Table(head=head, rows=tuple(rows), title="CIDEr-D by share of the passes"),),
        charts=(lines("C6", "CIDEr-D by schedule", shown),),
    )  # fmt: skip


def report_orders(scores: Scores, n: Mapping[str, int], seeds: int) -> Result:
    """Return how many passes each order needs for ENOUGH of the quality, and the differences at equal passes."""
    checks, rows = [], []
    for kind, length in KINDS.items():
        for k in (length, length // 4):
            differences = paired(scores[kind, "confidence", k], scores[kind, "random", k])
            checks.append(check(f"{NAMES[kind]} captions, {k} passes: confidence less random", differences))
        wanted = ENOUGH * mean_of(scores[kind, "confidence", length])
        for arm in ("confidence", "random"):
            own = [mean_of(scores[kind, arm, k]) for k in STEPS[kind]]
            rows.append((NAMES[kind], arm, fewest(STEPS[kind], own, wanted), *own))
    tables = [
        Table(
            head=("captions", "order", f"passes for {ENOUGH:g} of the best", *(f"K = {k}" for k in STEPS[kind])),
            rows=tuple(row for row in rows if row[0] == NAMES[kind]),
        )
        for kind in KINDS
    ]
    return Result(
        claim="C8", measured=f"{told(n, seeds)}; the random order has the seed's own noise.", checks=tuple(checks),
        tables=tuple(tables), charts=(lines("C8", "CIDEr-D by order of committing", scores),),
    )  # fmt: skip


def fewest(steps: Sequence[int], qualities: Sequence[float], wanted: float) -> str:
    """Return the fewest passes, of those tried, from which on more passes keep the quality too."""
    enough = itertools.takewhile(lambda one: one[1] >= wanted, zip(steps, qualities, strict=True))
    return str(min((k for k, _ in enough), default="more than tried"))


def lines(name: str, title: str, scores: Scores) -> Report:
    """Return a chart with a line for each kind and arm."""
    rows = [Row(series=f"{NAMES[kind]}, {arm}", x=k, values=seed_means(own)) for (kind, arm, k), own in scores.items()]
    return Report(name=name, title=title, x="passes", y="CIDEr-D", rows=tuple(rows))
