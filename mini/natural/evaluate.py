"""Ask a model the natural questions of split (v) and tell how many of its answers are right."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from lavida.evidence.gather import Evidence, Parts, find_parts
from lavida.model.vlm import VLM
from mini.natural.judge import ROWS, Verdict, judge
from mini.natural.photographs import see
from mini.natural.photos import PhotoQuestion, fetch_photographs, load_split, open_photograph
from mini.natural.phrases import CANNOT_TELL
from mini.natural.rules import Rules

Model = Callable[[Image.Image, str], str]

# What a model without eyes could say to everything.
_CONSTANTS = {
    "en": (
        *("Yes.", "No.", "one", "two", "red", "green", "black", "on the left", "in the middle", "outdoors", "a dog"),
        CANNOT_TELL["en"],
    ),
    "zh": (
        *("有。", "没有。", "是。", "不是。", "一个", "两个", "红色", "绿色", "左边", "中间", "室外", "狗"),
        CANNOT_TELL["zh"],
    ),
}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Hold a question, the answer that a model gave and the verdict."""

    question: PhotoQuestion
    answer: str
    verdict: Verdict


def answer_all(model: Model, folder: Path, say: Callable[[str], None] = lambda _: None) -> list[Judged]:
    """Ask a model every question of the split; photographs are opened once each."""
    photographs, questions = load_split()
    judged = []
    for photograph in photographs:
        picture = open_photograph(photograph, folder)
        for question in questions:
            if question.photo == photograph.name:
                answer = model(picture, question.question)
                judged.append(Judged(question=question, answer=answer, verdict=judge(question, answer)))
        say(f"{photograph.name}: {sum(j.verdict.right for j in judged)} of {len(judged)} right so far")
    return judged


def share(judged: Iterable[Judged], test: Callable[[Judged], bool] = lambda j: j.verdict.right) -> tuple[int, int]:
    """Return how many pass a test, and of how many."""
    passed = [test(j) for j in judged]
    return sum(passed), len(passed)


def table(judged: Sequence[Judged]) -> dict[str, tuple[int, int]]:
    """Return (right, asked) in all, by kind and by language, and how often the faults occur."""
    rows: dict[str, tuple[int, int]] = {"overall": share(judged)}
    for row in dict.fromkeys(ROWS.values()):
        rows[row] = share(j for j in judged if ROWS[j.question.kind] == row)
    asked_yes_no = [j for j in judged if j.question.yes is not None]
    rows["yes/no, right answer yes"] = share(j for j in asked_yes_no if j.question.yes)
    rows["yes/no, right answer no"] = share(j for j in asked_yes_no if not j.question.yes)
    rows["English"] = share(j for j in judged if j.question.language == "en")
    rows["Chinese"] = share(j for j in judged if j.question.language == "zh")
    answerable = [j for j in judged if j.question.kind != "unanswerable"]
    rows["false cannot tell"] = share(answerable, lambda j: j.verdict.cannot_tell)
    rows["wrong language"] = share(judged, lambda j: j.verdict.wrong_language)
    rows["broken or empty"] = share(judged, lambda j: j.verdict.broken)
    return rows


def constants() -> dict[str, tuple[int, int]]:
    """Return the table of the best constant answer of each kind and language, chosen with the answers known."""
    _, questions = load_split()
    groups: dict[tuple[str, str], list[PhotoQuestion]] = defaultdict(list)
    for question in questions:
        groups[question.kind, question.language].append(question)
    judged = []
    for (_, language), group in groups.items():
        best = Counter({a: sum(judge(q, a).right for q in group) for a in _CONSTANTS[language]}).most_common(1)[0][0]
        judged += [Judged(question=q, answer=best, verdict=judge(q, best)) for q in group]
    return table(judged)


def show(columns: dict[str, dict[str, tuple[int, int]]]) -> str:
    """Return tables side by side as Markdown."""
    lines = [f"| row | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for row in next(iter(columns.values())):
        cells = [
            f"{right} of {asked} ({right / max(asked, 1):.2f})" for right, asked in (c[row] for c in columns.values())
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


# What was set out to be reached.
AIMS = {
    "overall": 0.65, "name": 0.65, "presence": 0.80, "count": 0.55, "colour": 0.60, "place": 0.55,
    "unanswerable": 0.80, "Chinese": 0.65, "false cannot tell": 0.08, "wrong language": 0.0, "broken or empty": 0.0,
}  # fmt: skip
_FEWER = ("false cannot tell", "wrong language", "broken or empty")  # rows in which less is better
FAILURES = 40  # that the card shows


def section(judged: Sequence[Judged], columns: dict[str, dict[str, tuple[int, int]]], seed: int = 0) -> str:
    """Return the model card's section on natural questions: figures, aims, and failures drawn blindly."""
    photographs, lines = len({j.question.photo for j in judged}), []
    lines += [
        "## Questions as people ask them, about photographs",
        "",
        f"Split (v): {len(judged)} questions about {photographs} photographs, written before training, in wordings",
        "that were never trained on; judged by the rules of `mini/natural/judge.py`. The rules beside it read the same",
        "evidence and were written with the questions known.",
        "",
    ]
    names = list(columns)
    lines += [f"| row | {' | '.join(names)} | aim | |", "|---|" + "---|" * (len(names) + 2)]
    for row, (right, asked) in columns[names[0]].items():
        cells = [f"{c[row][0] / max(c[row][1], 1):.2f}" for c in columns.values()]
        cells[0] = f"{right} of {asked} (**{cells[0]}**)"
        aim, value = AIMS.get(row), right / max(asked, 1)
        mark = "" if aim is None else "reached" if (value <= aim if row in _FEWER else value >= aim) else "missed"
        lines.append(f"| {row} | {' | '.join(cells)} | {'' if aim is None else f'{aim:.2f}'} | {mark} |")
    wrong = [j for j in judged if not j.verdict.right]
    drawn = random.Random(seed).sample(wrong, min(FAILURES, len(wrong)))
    lines += ["", f"{len(drawn)} of the {len(wrong)} wrong answers, drawn blindly (seed {seed}):", ""]
    lines += ["| photograph | question | answer |", "|---|---|---|"]
    lines += [f"| {j.question.photo} | {_cell(j.question.question)} | {_cell(j.answer)} |" for j in drawn]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ") or "(nothing)"


class ByRules:
    """Answer by rules over the evidence that a model would get; that of the last picture is kept."""

    def __init__(self, net: VLM, parts: Parts) -> None:
        self._net, self._parts = net, parts
        self._last: tuple[Image.Image, Evidence] | None = None

    def __call__(self, picture: Image.Image, question: str) -> str:
        """Answer a question about a picture."""
        if self._last is None or self._last[0] is not picture:
            self._last = (picture, see(picture, self._net, self._parts)[1])
        return Rules(self._last[1])(question)


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate a checkpoint, or the model that ships, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m mini.natural.evaluate", description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="folder of fetched packages; filled if need be")
    parser.add_argument("--model", type=Path, help="folder of a checkpoint (the model that ships)")
    parser.add_argument("--out", type=Path, help="write every answer with its verdict to this JSON file")
    parser.add_argument("--section", type=Path, help="write the model card's section to this Markdown file")
    chosen = parser.parse_args(arguments)
    import lavida

    model = lavida.load(chosen.model)
    fetch_photographs(load_split()[0], chosen.packages)
    judged = answer_all(
        lambda picture, question: model.ask(picture, question).text,
        chosen.packages,
        lambda s: print(s, file=sys.stderr),
    )
    if chosen.out:
        rows = [asdict(j.question) | {"answer": j.answer} | j.verdict._asdict() for j in judged]
        chosen.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    columns = {"model": table(judged)}
    parts = find_parts(model.folder, model.net, model.labels) if model.folder and model.labels else None
    if parts is not None and model.net.evidence is not None:
        columns["rules over its evidence"] = table(answer_all(ByRules(model.net, parts), chosen.packages))
    columns["best constant of each kind"] = constants()
    print(show(columns))
    if chosen.section:
        chosen.section.write_text(section(judged, columns), encoding="utf-8")


if __name__ == "__main__":
    main()
