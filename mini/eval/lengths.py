"""Compare ways to find the length of a hole: the search over lengths, and [FIM] in a model that was taught it.

python -m mini eval infill --lengths --model runs/fim/model

The model sees the pictures themselves, with all evidence that it is told in use.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from lavida.api import Model
from lavida.decode.prompt import Prompt
from lavida.edit.infill import InfillOptions, check_bidirectional, infill_ids
from lavida.text.holes import read_holes
from lavida.text.words import exact, words
from mini.eval.infill import CANVAS, MOST, Gap, missing_tokens

METHODS = ("known", "search", "fim")  # the length given; compared with others; marked by the model


@dataclass(frozen=True, kw_only=True)
class Filled:
    """Hold what was written into a hole, and what it cost behind a prompt that is read."""

    text: str
    tokens: int
    passes: int  # forward passes, those that score canvases included
    canvases: int  # rows of all passes
    seconds: float  # processor time


def evaluate_lengths(
    model: Model, pictures: Sequence[Image.Image], gaps: Sequence[Gap], log: Callable[[str], None] = print
) -> dict:
    """Fill every gap in every way; return figures by method, of all gaps and by what follows them, and the texts.

    Raises:
        RequestError: The model has no tokens for gaps, or writes left to right.
    """
    check_bidirectional(model.net)
    found: dict[str, list[Filled]] = {method: [] for method in METHODS}
    for done, gap in enumerate(gaps, start=1):
        prompt = model.read(pictures[gap.picture], gap.question)
        if prompt.prefix is not None:
            prompt.prefix.prefill()
        for method in METHODS:
            found[method].append(fill(model, prompt, gap, method))
        if done % 20 == 0:
            log(f"{done} of {len(gaps)} gaps")
    true = [missing_tokens(model, gap) for gap in gaps]
    groups = {"all": range(len(gaps))} | {
        name: [i for i, gap in enumerate(gaps) if gap.after.startswith(" ") == spaced]
        for name, spaced in (("before a word", True), ("before a mark", False))
    }
    return {
        "n": len(gaps),
        "methods": {
            method: {name: figures([(gaps[i], true[i], own[i]) for i in at]) for name, at in groups.items()}
            for method, own in found.items()
        },
        "rows": [
            {"question": gap.question, "text": f"{gap.before}[{gap.span}]{gap.after}", "tokens": true[i]}
            | {method: own[i].text for method, own in found.items()}
            for i, gap in enumerate(gaps)
        ],
    }


def fill(model: Model, prompt: Prompt, gap: Gap, method: str) -> Filled:
    """Fill a gap by one of METHODS."""
    missing = missing_tokens(model, gap)
    hole = f"[M:{missing}]" if method == "known" else "[M]"
    holed = read_holes(f"{gap.before}{hole}{gap.after}", model.tokenizer, most=max(MOST, missing))
    # The canvas holds the longest filling in any case: its length says nothing.
    length = max(CANVAS, sum(map(len, holed.ids)) + max(MOST, missing) + 2)
    options = InfillOptions(how="fim" if method == "fim" else "search", alternatives=0, length=length)
    with counted(model) as made:
        began = time.process_time()
        (written,) = infill_ids(prompt, holed, options).holes
        seconds = time.process_time() - began
    return Filled(
        text=written.text, tokens=written.tokens, passes=len(made), canvases=sum(made), seconds=seconds
    )  # fmt: skip


@contextmanager
def counted(model: Model) -> Iterator[list[int]]:
    """Collect the rows of each forward pass of the denoiser."""
    made: list[int] = []
    handle = model.net.denoiser.register_forward_pre_hook(lambda _, given: made.append(len(given[0])))
    try:
        yield made
    finally:
        handle.remove()


def figures(rows: Sequence[tuple[Gap, int, Filled]]) -> dict[str, float]:
    """Return shares of right texts and lengths, word F1, and the mean costs; nothing of no gap."""
    values = [
        {
            "exact": float(exact(own.text, gap.span)),
            "f1": word_f1(own.text, gap.span),
            "length": float(own.tokens == missing),
            "passes": own.passes,
            "canvases": own.canvases,
            "seconds": own.seconds,
        }
        for gap, missing, own in rows
    ]
    return {"n": len(rows)} | {name: sum(one[name] for one in values) / len(values) for name in (values or [{}])[0]}


def word_f1(text: str, truth: str) -> float:
    """Return the harmonic mean of precision and recall of words."""
    said, true = words(text), words(truth)
    common = sum((Counter(said) & Counter(true)).values())
    return 2 * common / (len(said) + len(true)) if said or true else 1.0
