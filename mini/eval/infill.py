"""Evaluation of infilling: spans removed from captions of held-out scenes and written anew.

python -m mini eval infill --data build/mini --twin runs/twin/model
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lavida.decode.driver import Job, job_steps
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.edit.infill import InfillOptions, check_bidirectional, infill_ids
from lavida.eval.metrics import Cider
from lavida.text.holes import read_holes
from lavida.text.words import exact
from mini.data import english
from mini.data.facts import Fact
from mini.data.features import Features
from mini.data.scenes import Scene
from mini.eval.answers import AnsweringModel, read_question

WORDS, MOST, CANVAS = 4, 8, 24  # longest span removed; tokens of a hole of unknown length; of a canvas, at least
_CAPTIONS = {"caption": english.caption, "detailed": english.detailed}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Hold a caption of one picture without some of its words."""

    picture: int
    question: str
    before: str
    span: str
    after: str


def draw_gaps(scenes: Sequence[Scene], n: int, seed: int) -> list[Gap]:
    """Draw a gap of 1 to WORDS words in a caption of each of the first n scenes, plain and detailed in turn."""
    rng = random.Random(seed)
    gaps = []
    for i, scene in enumerate(scenes[:n]):
        kind = ("caption", "detailed")[i % 2]
        text = _CAPTIONS[kind](scene).removesuffix(english.STOP)
        words = text.split(" ")
        count = rng.randint(1, min(WORDS, len(words)))
        first = rng.randrange(len(words) - count + 1)
        span = " ".join(words[first : first + count]).removesuffix(",")
        before = "".join(f"{word} " for word in words[:first])
        gaps.append(
            Gap(
                picture=i,
                question=english.prompt(Fact(kind=kind, scene=scene)),
                before=before,
                span=span,
                after=text[len(before) + len(span) :] + english.STOP,
            )
        )
    return gaps


def evaluate_infill(
    model: AnsweringModel,
    features: Features,
    n: int,
    *,
    twin: AnsweringModel | None = None,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> dict:
    """Compute exact match and CIDEr-D of the spans, by method.

    Every method but `unknown` is given the number of missing tokens.
    """
    gaps = draw_gaps([record.scene for record in features.records], n, seed)
    methods: dict[str, Callable[[Gap], str]] = {
        "known": lambda gap: _filled(model, features, gap, known=True),
        "unknown": lambda gap: _filled(model, features, gap, known=False),
        "prefix_only": lambda gap: _continued(model, features, gap),
    }
    if twin is not None:
        methods["twin_prefix_only"] = lambda gap: _continued(twin, features, gap)
    spans: dict[str, list[str]] = {method: [] for method in methods}
    for done, gap in enumerate(gaps, start=1):
        for method, written in methods.items():
            spans[method].append(written(gap))
        if done % 20 == 0:
            log(f"{done} of {len(gaps)} gaps")
    return {
        "n": len(gaps),
        "seed": seed,
        "methods": {method: span_figures(gaps, texts) for method, texts in spans.items()},
        "rows": [
            {"question": gap.question, "text": f"{gap.before}[{gap.span}]{gap.after}"}
            | {method: texts[i] for method, texts in spans.items()}
            for i, gap in enumerate(gaps)
        ],
    }


def span_figures(gaps: Sequence[Gap], texts: Sequence[str]) -> dict[str, float]:
    """Compute the figures of texts that were written into gaps."""
    right = sum(exact(text, gap.span) for gap, text in zip(gaps, texts, strict=True))
    return {
        "exact": right / max(1, len(gaps)),
        "cider": Cider([[gap.span] for gap in gaps]).mean(texts),
    }


def _prompt(model: AnsweringModel, features: Features, gap: Gap, before: Sequence[int] = ()) -> Prompt:
    maps, record = features.maps[gap.picture], features.records[gap.picture]
    return read_question(model, maps, record, gap.question, prefix=before)


def _filled(model: AnsweringModel, features: Features, gap: Gap, *, known: bool) -> str:
    """Fill a gap with both of its sides known."""
    check_bidirectional(model.net)
    missing = missing_tokens(model, gap)
    hole = f"[M:{missing}]" if known else "[M]"
    holed = read_holes(f"{gap.before}{hole}{gap.after}", model.tokenizer, most=max(MOST, missing))
    # The canvas holds the longest filling in either case: its length says nothing.
    length = max(CANVAS, sum(map(len, holed.ids)) + max(MOST, missing) + 1)
    options = InfillOptions(alternatives=0, length=length)
    return infill_ids(_prompt(model, features, gap), holed, options).holes[0].text


def _continued(model: AnsweringModel, features: Features, gap: Gap) -> str:
    """Write as much text behind what stands before the gap as is missing."""
    denoiser, before = model.net.config.denoiser, gap.before.rstrip()
    prompt = _prompt(model, features, gap, model.tokenizer.encode(before) if before else ())
    missing = missing_tokens(model, gap)
    ended = set(denoiser.eos_ids)
    options = DecodeOptions(
        # A diffusion model lays out the whole rest of the text; one that writes left to right needs no more than this.
        length=missing if denoiser.autoregressive else CANVAS,
        block=1 if denoiser.autoregressive else None,
        banned=tuple(i for i in prompt.unwritable.tolist() if denoiser.autoregressive or i not in ended),
        cache="none" if prompt.prefix is None else "prefix",
    )
    *_, last = job_steps(Job(model.net, options, prompt))
    return model.tokenizer.decode(last.canvas[:missing].tolist())


def missing_tokens(model: AnsweringModel, gap: Gap) -> int:
    """Count the missing tokens."""
    holed = read_holes(f"{gap.before}[M]{gap.after}", model.tokenizer, most=1)
    return len(model.tokenizer.encode(gap.before + gap.span + gap.after)) - sum(map(len, holed.ids))
