"""C5: complementary masks against independent ones, short trainings from early weights."""

from __future__ import annotations

from benchmarks.report import Report, Row
from lavida.api import load
from lavida.text.words import exact
from mini.claims.result import BY_SEED, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import EARLY, Setting
from mini.claims.training import maps_of, train
from mini.eval.answers import answer_set
from mini.eval.sets import SHORT, question_set

OBJECTIVES = {"default": "complementary", "independent": "independent"}


def measure(setting: Setting) -> Result:
    """Train each objective with each seed and ask all of them the same questions."""
    steps, rows, n = setting.some(40, 6), 3, setting.some(40, 12)
    start, features = setting.earlier(EARLY), maps_of(setting)
    sets = question_set([record.scene for record in features.records[: 2 * n]], n, 0, SHORT)
    asked = [one for own in sets.values() for one in own]
    right: dict[str, BY_SEED] = {}
    seconds = {}
    for objective in OBJECTIVES:
        right[objective], spent = [], []
        for seed in range(setting.seeds):
            folder = setting.runs / "C5" / f"{objective}-{seed}-{steps}"
            spent.append(train(setting, folder, start, steps=steps, rows=rows, seed=seed, objective=objective))
            said = answer_set(load(folder / "model", threads=1), features.maps, features.records, asked)
            right[objective].append(
                [float(exact(text, a.question.answer)) for text, a in zip(said, asked, strict=True)]
            )
        seconds[objective] = sum(spent) / len(spent)
    said = answer_set(load(start, threads=1), features.maps, features.records, asked)
    before = sum(exact(text, a.question.answer) for text, a in zip(said, asked, strict=True)) / len(asked)
    return report(right, seconds, before, f"{steps} updates of {rows} pictures")


def report(right: dict[str, BY_SEED], seconds: dict[str, float], before: float, trained: str) -> Result:
    """Return the difference of the shares of right answers, question by question."""
    difference = paired(right["default"], right["independent"])
    n, seeds = len(right["default"][0]), len(right["default"])
    rows = tuple((OBJECTIVES[o], mean_of(right[o]), *seed_means(right[o]), seconds[o]) for o in OBJECTIVES)
    head = ("masks", "right", *(f"seed {i}" for i in range(seeds)), "processor seconds of a training")
    return Result(
        claim="C5",
        measured=f"{trained}, drawn scenes alone, tower frozen, from run 2's weights (commit {EARLY}, {before:.3f} of "
        f"the answers right before); {n} short questions about held-out scenes, {seeds} seeds.",
        checks=(
            check(
                "right answers: complementary less independent", difference,
                paper="+37 MME, +5.0 MathVista, +32.75 ScienceQA, +3.22 MMMU",
            ),
        ),
        tables=(Table(head=head, rows=rows),),
        charts=(
            Report(
                name="C5", title="Right answers by masks", x="", y="share of answers",
                rows=tuple(Row(series=OBJECTIVES[o], x="masks", values=seed_means(right[o])) for o in OBJECTIVES),
            ),
        ),
        notes=(
            "Both objectives see the same pictures and questions in the same order, two copies of each answer.",
            "The start had been trained with complementary masks. The interval draws questions, not trainings; the "
            "spread over trainings is in the table, and the rule asks for the same sign in each.",
        ),
    )  # fmt: skip
