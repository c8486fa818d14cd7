"""Measure what fewer passes cost, before and after `lavida train few-steps`: models beside numbers of passes.

    python -m benchmarks.few_steps --model lavida-mini --model runs/few-steps/model --data held-out.jsonl

Nothing is timed. Each entry's last question is asked; the first model's answer of one token a pass is the reference of
all. An answer agrees if its words are the reference's, and is right if they are the data's; captions (answers to
"Describe the image.") get CIDEr-D instead of the latter.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lavida
from benchmarks.harness import OUT, environment, finish
from benchmarks.report import Report, Row
from lavida.api import Model
from lavida.data.samples import CAPTION, BrokenSample, Sample
from lavida.data.sources import open_source
from lavida.decode.request import Answer
from lavida.eval.metrics import Cider
from lavida.text.messages import Turn
from lavida.text.words import exact

PASSES = (1, 2, 4, 8, 16)
AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Hold the figures of one model at one number of passes; None where the data has no such entries."""

    agreement: float
    accuracy: float | None
    cider: float | None
    passes: float  # that were made, fewer where answers ended before


def questions_of(path: str, images: Path | None, most: int | None) -> list[Sample]:
    """Return the entries of a data set that can be read, at most so many."""
    source, found = open_source(path, images=images), []
    for index in range(len(source)):
        try:
            found.append(source[index])
        except BrokenSample as error:
            print(f"left out {source.name}:{index}: {error}")
        if most is not None and len(found) == most:
            break
    return found


def answers_of(model: Model, samples: Sequence[Sample], **options: Any) -> list[Answer]:
    """Answer the last question of each sample, its dialogue before it; several share their passes."""
    answers: list[Answer] = []
    with lavida.Engine(model) as engine:
        for at in range(0, len(samples), AT_ONCE):  # whose pictures are open together
            asked = [messages_of(sample.turns[:-1]) for sample in samples[at : at + AT_ONCE]]
            tickets = [engine.submit_chat(messages, **options) for messages in asked]
            answers += [ticket.result() for ticket in tickets]
    return answers


def messages_of(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Return turns as `Model.chat` takes them."""
    return [
        {"role": t.role, "content": [{"type": part.kind, part.kind: part.value} for part in t.parts]} for t in turns
    ]


def words_of(turn: Turn) -> str:
    """Return the words of a turn."""
    return "\n".join(part.value for part in turn.parts if part.kind == "text")


def figures(samples: Sequence[Sample], answers: Sequence[Answer], reference: Sequence[Answer]) -> Figures:
    """Compare answers with the reference and with the data."""
    texts, truths = [answer.text for answer in answers], [words_of(sample.turns[-1]) for sample in samples]
    captions = [i for i, sample in enumerate(samples) if words_of(sample.turns[-2]) == CAPTION]
    others = sorted(set(range(len(samples))) - set(captions))
    return Figures(
        agreement=_share([exact(text, old.text) for text, old in zip(texts, reference, strict=True)]) or 0.0,
        accuracy=_share([exact(texts[i], truths[i]) for i in others]),
        cider=Cider([[truths[i]] for i in captions]).mean([texts[i] for i in captions]) if captions else None,
        passes=sum(answer.steps for answer in answers) / len(answers),
    )


def _share(right: Sequence[bool]) -> float | None:
    return sum(right) / len(right) if right else None


def table(found: dict[tuple[str, int], Figures]) -> str:
    """Return all figures as one table."""
    lines = ["| model | passes | made | agree | right | CIDEr-D |", "|---|---|---|---|---|---|"]
    for (name, passes), one in found.items():
        right, cider = ("-" if value is None else f"{value:.3f}" for value in (one.accuracy, one.cider))
        lines.append(f"| {name} | {passes} | {one.passes:.1f} | {one.agreement:.3f} | {right} | {cider} |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", action="append", required=True, help="name or folder; several, the first is BEFORE")
    options.add_argument("--data", required=True, help="a held-out data set, as `lavida train` reads it")
    options.add_argument("--images", type=Path, help="folder of its pictures; default: that of the file")
    options.add_argument("--questions", type=int, help="the first so many; default: all")
    options.add_argument("--length", type=int, help="tokens of the canvas; default: the model's own")
    options.add_argument("--passes", type=int, nargs="+", default=PASSES)
    options.add_argument("--threads", type=int, help="CPU threads of PyTorch")
    options.add_argument("--out", type=Path, default=OUT, help="where the JSON and the PNG go")
    args = options.parse_args()
    samples = questions_of(args.data, args.images, args.questions)
    env, found, reference = environment(), {}, None
    for name in args.model:
        model = lavida.load(name, threads=args.threads)
        if reference is None:
            reference = answers_of(model, samples, length=args.length)
        for passes in args.passes:
            answers = answers_of(model, samples, length=args.length, steps=passes)
            found[name, passes] = figures(samples, answers, reference)
    print(f"{len(samples)} questions of {args.data}\n\n{table(found)}\n")
    rows = tuple(
        Row(
            series=name,
            x=passes,
            values=(one.agreement,),
            facts={"accuracy": one.accuracy, "CIDEr-D": one.cider, "passes": one.passes},
        )
        for (name, passes), one in found.items()
    )
    report = Report(
        name="few_steps",
        title="Answers in few passes: agreement with one token a pass",
        x="passes",
        y="agreement",
        rows=rows,
        notes=(f"{len(samples)} questions",),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
