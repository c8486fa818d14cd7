"""Fit the curve that makes the probability of an answer's tokens the share of right answers, on split (v).

    python -m mini.natural.confidence --packages FOLDER --model MODEL

Half of the photographs give the curve by which the other half is judged, and the other way round; the curve that is
written to the model's folder is fitted to all of them. Its error is that of the two halves.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import lavida
from lavida.decode.confidence import ConfidenceCurve, answer_log_probability, calibration_error, fit_confidence
from lavida.decode.request import make_request, turns_of
from lavida.eval.cost import reliability as bins
from mini.natural.judge import judge
from mini.natural.photos import fetch_photographs, load_split, open_photograph

BINS = 5  # of the table


@dataclass(frozen=True)
class Graded:
    """Hold the log-probability of an answer in nats, whether it was right, and which half its photograph is in."""

    log_probability: float
    right: bool
    half: int


def grade(model: lavida.Model, packages: Path) -> list[Graded]:
    """Ask every question of the split with the model's own settings."""
    photographs, questions = load_split()
    graded = []
    with torch.inference_mode():
        for i, photograph in enumerate(photographs):
            picture = open_photograph(photograph, packages)
            for question in questions:
                if question.photo != photograph.name:
                    continue
                request = make_request(model.reader, turns_of(picture, question.question), {}, folder=model.folder)
                request.run()
                sure = answer_log_probability(request.last, model.net.config.denoiser.eos_ids)
                graded.append(Graded(sure, judge(question, request.answer(0.0).text).right, i % 2))
    return graded


def fitted(graded: Sequence[Graded]) -> ConfidenceCurve:
    """Return the curve of all answers, with the error of the two halves by each other's curve."""
    judged = judged_by_others(graded)
    slope, offset = fit_confidence([g.log_probability for g in graded], [g.right for g in graded])
    error = calibration_error([p for p, _ in judged], [right for _, right in judged])
    return ConfidenceCurve(slope=slope, offset=offset, questions=len(graded), error=round(error, 4))


def judged_by_others(graded: Sequence[Graded]) -> list[tuple[float, bool]]:
    """Return (confidence, right) of each answer, by the curve of the half that it is not in."""
    found = []
    for half in (0, 1):
        others = [g for g in graded if g.half != half]
        slope, offset = fit_confidence([g.log_probability for g in others], [g.right for g in others])
        curve = ConfidenceCurve(slope=slope, offset=offset, questions=len(others), error=0.0)
        found += [(curve(g.log_probability), g.right) for g in graded if g.half == half]
    return found


def reliability(judged: Sequence[tuple[float, bool]]) -> str:
    """Return the reliability table as Markdown: how often answers of a confidence are right."""
    lines = ["| confidence | answers | mean confidence | right |", "|---|---|---|---|"]
    for found in bins([p for p, _ in judged], [right for _, right in judged], BINS):
        low = min(BINS - 1, int(found.confidence * BINS)) / BINS
        lines.append(
            f"| {low:.1f} to {low + 1 / BINS:.1f} | {found.count} | {found.confidence:.2f} | {found.accuracy:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the curve, write it beside the model and print the table."""
    parser = argparse.ArgumentParser(prog="python -m mini.natural.confidence", description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="folder of fetched packages; filled if need be")
    parser.add_argument("--model", type=Path, required=True, help="folder of a checkpoint")
    chosen = parser.parse_args(arguments)
    fetch_photographs(load_split()[0], chosen.packages)
    graded = grade(lavida.load(chosen.model), chosen.packages)
    curve = fitted(graded)
    curve.save(chosen.model)
    print(f"slope {curve.slope:.3f}, offset {curve.offset:.3f}; expected calibration error {curve.error:.3f}\n")
    print(reliability(judged_by_others(graded)))


if __name__ == "__main__":
    main()
