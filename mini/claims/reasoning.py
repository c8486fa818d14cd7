"""C7: a stage that learns chains of reasoning, against one that learns the answers alone, from the shipped weights."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.report import Report, Row
from lavida.api import load
from lavida.checkpoint.io import load_checkpoint
from lavida.checkpoint.named import find_model
from lavida.evidence.gather import find_parts
from lavida.text.labels import load_labels
from mini.claims import captions
from mini.claims.result import BY_SEED, NotMeasuredError, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import Setting
from mini.data.atlas import Atlas
from mini.data.prepare import drawn_scenes
from mini.data.reasoning import BEFORE, CASES, KEPT, KINDS, WEIGHTS, Reasoned, balanced, right
from mini.natural.photographs import Seen, image_of, write_seen
from mini.natural.stages import CANVAS, has_pair
from mini.natural.train import train_stage

SEED = 9400  # of the drawing; that of the training scenes, and behind it those of the questions
_TOGETHER = 20  # answers that share their passes
MOST = 600  # held-out scenes that are gone through for the questions of a seed
SHIPPED, DIRECT, CHAIN, BLOCKS = "as shipped", "answers", "chains", "chains in blocks"
OPTIONS: dict[str, dict[str, Any]] = {
    SHIPPED: {}, DIRECT: {"length": CANVAS["direct"]}, CHAIN: {"length": CANVAS["reason"]},
    BLOCKS: {"length": CANVAS["reason"], "block": 8},
}  # fmt: skip
TRAINED = {"direct": (DIRECT,), "reason": (CHAIN, BLOCKS)}  # what the model of a stage is asked for


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Hold how long a stage learns, and how much is asked."""

    scenes: int
    steps: int
    rows: int
    questions: int  # of each kind and seed
    rate: float = 5e-4


@dataclass(frozen=True, kw_only=True)
class Said:
    """Hold the answers of one arm to the questions of one seed."""

    texts: list[str]
    passes: float
    seconds: float  # processor time of an answer, behind a prompt that is read


def measure(setting: Setting) -> Result:
    """Train both stages and ask them, and the model before, the same questions; each seed has scenes of its own."""
    trial = setting.some(
        Trial(scenes=1200, steps=200, rows=4, questions=28), Trial(scenes=40, steps=3, rows=2, questions=4)
    )
    begin, atlas = find_model(setting.model or "lavida-mini"), Atlas.load(setting.data)
    folder, models, spent = setting.runs / "C7", {(SHIPPED,): begin}, {}
    for stage, arms in TRAINED.items():
        spent[stage] = setting.part(f"C7-seconds-{stage}", partial(learn, atlas, begin, folder / stage, stage, trial))
        models[arms] = folder / stage / "model"
    asked: list[list[Reasoned]] = []
    said: dict[str, list[Said]] = {arm: [] for arm in OPTIONS}
    for seed in range(setting.seeds):
        pictures, numbered = held_out(atlas, seed, trial.questions)
        asked.append([question for _, question in numbered])
        for arms, model in models.items():
            found = setting.part(f"C7-{arms[0]}-{seed}", partial(answers, model, pictures, numbered, arms))
            for arm, own in found.items():
                said[arm].append(Said(**own))
    return report(asked, said, spent, trial)


def learn(atlas: Atlas, begin: Path, out: Path, stage: str, trial: Trial) -> float:
    """Train a stage; return its processor seconds, those of an interrupted run left out."""
    scenes = seen_scenes(atlas, begin, out.parent / f"scenes-{trial.scenes}.pt", trial.scenes)
    began = time.process_time()
    train_stage(
        begin, out, stage, scenes, steps=trial.steps, rows=trial.rows, rate=trial.rate, seed=0,
        say=lambda line: None,
    )  # fmt: skip
    return time.process_time() - began


def seen_scenes(atlas: Atlas, model: Path, path: Path, n: int) -> Seen:
    """Return image tokens and evidence of n scenes that show a trained pair, computed once.

    Raises:
        NotMeasuredError: The model is told no evidence.
    """
    if not path.exists():
        vlm, _ = load_checkpoint(model)
        parts = find_parts(model, vlm, load_labels(model) or ())
        if parts is None or vlm.evidence is None:
            raise NotMeasuredError("needs a model that is told evidence, such as lavida-mini")
        drawn = drawn_scenes(atlas, "train", SEED, WEIGHTS, KEPT)
        chosen = ((image_of(picture), scene, "") for picture, scene, _ in drawn if has_pair(scene))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_seen(chosen, path, vlm, replace(parts, reader=None), limit=n)
    return Seen.load(path)


def held_out(atlas: Atlas, seed: int, n: int) -> tuple[dict[int, Image.Image], list[tuple[int, Reasoned]]]:
    """Draw n questions of each kind with the number of their picture, and these pictures."""

    def drawn() -> Any:
        return itertools.islice(drawn_scenes(atlas, "train", SEED + 1 + seed, WEIGHTS, KEPT), MOST)

    asked = balanced((scene for _, scene, _ in drawn()), n, random.Random(seed))
    shown = {number for number, _ in asked}
    return {i: image_of(picture) for i, (picture, _, _) in enumerate(drawn()) if i in shown}, asked


def answers(
    model: Path, pictures: Mapping[int, Image.Image], asked: Sequence[tuple[int, Reasoned]], arms: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Ask a model everything in each way of `arms`; return what it said, as JSON has it."""
    loaded, written = load(model, threads=1), {arm: [] for arm in arms}
    seconds = dict.fromkeys(arms, 0.0)
    for at in range(0, len(asked), _TOGETHER):  # whose prompts are held together
        prompts = [loaded.read(pictures[number], one.prompt) for number, one in asked[at : at + _TOGETHER]]
        for prompt in prompts:
            if prompt.prefix is not None:
                prompt.prefix.prefill()
        for arm in arms:
            began = time.process_time()
            written[arm] += captions.write(loaded, prompts, OPTIONS[arm])
            seconds[arm] += time.process_time() - began
        loaded.forget()
    return {
        arm: {
            "texts": [one.text for one in own], "passes": captions.passes([own]), "seconds": seconds[arm] / len(own)
        }
        for arm, own in written.items()
    }  # fmt: skip


def marks(asked: Sequence[Sequence[Reasoned]], said: Sequence[Said]) -> list[list[float]]:
    """Return 1 for each right answer."""
    return [
        [float(right(text, question)) for text, question in zip(one.texts, own, strict=True)]
        for one, own in zip(said, asked, strict=True)
    ]


def evidence_marks(asked: Sequence[Sequence[Reasoned]], said: Sequence[Said]) -> list[list[float]]:
    """Return 1 for each chain whose evidence is right to the word."""
    return [
        [float(text.startswith(f"{question.evidence}.")) for text, question in zip(one.texts, own, strict=True)]
        for one, own in zip(said, asked, strict=True)
    ]


def report(
    asked: Sequence[Sequence[Reasoned]],
    said: Mapping[str, Sequence[Said]],
    spent: Mapping[str, float],
    trial: Trial,
) -> Result:
    """Return the differences on the same questions, each kind, and where chains fail."""
    good: dict[str, BY_SEED] = {arm: marks(asked, own) for arm, own in said.items()}
    seeds, n = len(asked), sum(map(len, asked))
    trained = {arm: spent[stage] for stage, arms in TRAINED.items() for arm in arms}
    rows = tuple(
        (
            arm, mean_of(good[arm]), *seed_means(good[arm]), sum(o.passes for o in said[arm]) / seeds,
            sum(o.seconds for o in said[arm]) / seeds, trained[arm] if arm in trained else "-",
        )
        for arm in OPTIONS
    )  # fmt: skip
    head = ("arm", "right", *(f"seed {i}" for i in range(seeds)), "passes", "seconds an answer", "seconds a training")
    return Result(
        claim="C7",
        measured=f"{trial.steps} updates of {trial.rows} pictures with 5 questions each, {trial.scenes} drawn scenes, "
        f"from today's weights, tower and projector frozen; {n} questions in held-out wordings about held-out pairs of "
        f"names in other scenes, {seeds} seeds of scenes and questions; each stage was trained once.",
        checks=(
            check("right answers: chains less answers learnt alone", paired(good[CHAIN], good[DIRECT])),
            check("right answers: chains less guessing", paired(good[CHAIN], guesses(asked))),
        ),
        tables=(
            Table(head=head, rows=rows),
            Table(
                head=("kind", "questions", *OPTIONS, "evidence of the chain"), rows=tuple(by_kind(asked, said, good)),
                title="Right by kind of question, and chains whose evidence is right to the word",
            ),
            Table(
                head=("evidence", "chains", "right answers"), rows=tuple(by_evidence(asked, said[CHAIN], good[CHAIN])),
                title="Answers of chains by their evidence",
            ),
        ),
        charts=(
            Report(
                name="C7", title="Right answers to questions of two pieces of evidence", x="", y="share of answers",
                rows=tuple(Row(series=arm, x="all kinds", values=seed_means(good[arm])) for arm in OPTIONS),
            ),
        ),
        notes=(
            'Chains are those of an exact program, such as "there are three cats and one dog. three is more than one. '
            f'{BEFORE} cats"; the paper distils those of a larger model. Both stages see the same pictures and '
            "questions in the same order, each answer twice under complementary masks. The intervals and seeds tell of "
            "questions, not of trainings.",
            'Every answer of a kind is right about as often as the others: guessing gives .25 of "total" and .50 of '
            "the rest. An answer is right if it names the true one of the possible answers and no other; of a chain "
            f'only what follows "{BEFORE}" counts.',
            "The model as shipped was never asked such questions and mostly answers others, so that its share says "
            "little of reasoning; the paper compares with the model before the stage. Trained more gently, direct "
            "answers are right more often and chains are not learnt at all (training-log.md, run 12).",
            f"The canvas holds {CANVAS['direct']} tokens for an answer, {CANVAS['reason']} for a chain, and the "
            "default of 16 before the stage. Committing the surest tokens first, the answer may be written before its "
            "chain; in blocks of 8 it comes last.",
        ),
    )  # fmt: skip


def guesses(asked: Sequence[Sequence[Reasoned]]) -> list[list[float]]:
    """Return how often a guess among the cases of a question's kind is right."""
    return [[1 / len(CASES[question.kind]) for question in own] for own in asked]


def by_kind(
    asked: Sequence[Sequence[Reasoned]], said: Mapping[str, Sequence[Said]], good: Mapping[str, BY_SEED]
) -> list[tuple[str | float, ...]]:
    """Return a row for each kind."""
    kinds = [question.kind for own in asked for question in own]
    columns = [*good.values(), evidence_marks(asked, said[CHAIN])]
    flat = [list(itertools.chain.from_iterable(column)) for column in columns]
    rows: list[tuple[str | float, ...]] = []
    for kind in KINDS:
        at = [i for i, own in enumerate(kinds) if own == kind]
        if at:
            rows.append((kind, len(at), *(sum(column[i] for i in at) / len(at) for column in flat)))
    return rows


def by_evidence(
    asked: Sequence[Sequence[Reasoned]], said: Sequence[Said], good: BY_SEED
) -> list[tuple[str | float, ...]]:
    """Return how often the answer is right where the evidence is, and where it is not."""
    seen = itertools.chain.from_iterable(evidence_marks(asked, said))
    both = list(zip(seen, itertools.chain.from_iterable(good), strict=True))
    rows: list[tuple[str | float, ...]] = []
    for name, value in (("right", 1.0), ("wrong", 0.0)):
        own = [mark for evidence, mark in both if evidence == value]
        rows.append((name, len(own), sum(own) / len(own) if own else float("nan")))
    return rows
