"""C10: the same questions about the same pictures in Chinese and in English."""

from __future__ import annotations

from benchmarks.report import Report, Row
from lavida.text.words import exact
from mini.claims.captions import draw
from mini.claims.result import BY_SEED, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import Setting
from mini.eval.answers import Decoding, answer_pictures
from mini.eval.sets import SHORT, question_set

LANGUAGES = ("en", "zh")
MARGIN = 0.05  # of the answers, that count as "as in English"


def measure(setting: Setting) -> Result:
    """Ask every kind of short question in both languages."""
    n = setting.some(6, 3)
    right: dict[tuple[str, str], list[list[float]]] = {}
    for seed, own in enumerate(draw(setting.data, setting.some(100, 12), setting.seeds)):
        for language in LANGUAGES:
            sets = question_set(own.scenes, n, seed, SHORT, language)
            asked = [one for kind in SHORT for one in sets[kind]]
            said = answer_pictures(setting.ours, own.pictures, asked, Decoding())
            marks = iter([float(exact(text, a.question.answer)) for text, a in zip(said, asked, strict=True)])
            for kind in SHORT:
                right.setdefault((kind, language), []).append([next(marks) for _ in sets[kind]])
    return report(right)


def report(right: dict[tuple[str, str], list[list[float]]]) -> Result:
    """Return the difference over all kinds, and each kind."""
    kinds = list(dict.fromkeys(kind for kind, _ in right))
    seeds = len(right[kinds[0], "en"])
    whole: dict[str, BY_SEED] = {
        language: [[mark for kind in kinds for mark in right[kind, language][s]] for s in range(seeds)]
        for language in LANGUAGES
    }
    n = sum(map(len, whole["en"]))
    asked = [kind for kind in kinds if any(right[kind, "en"])]
    flat = {key: [own for own in marks if own] for key, marks in right.items()}
    rows = [
        (kind, sum(map(len, flat[kind, "en"])), *(mean_of(flat[kind, lang]) for lang in LANGUAGES)) for kind in asked
    ]
    rows.append(("all", n, *(mean_of(whole[language]) for language in LANGUAGES)))
    return Result(
        claim="C10",
        measured=f"{n} short questions about new scenes, {seeds} seeds, each asked of today's weights in English and "
        "in Chinese; an answer is right if its words are the only right ones of its language.",
        checks=(
            check(
                f"right answers: Chinese less English, at least -{MARGIN:g}", paired(whole["zh"], whole["en"]),
                bound=-MARGIN, reached=True,
            ),
        ),
        tables=(Table(head=("kind", "questions", "English", "Chinese"), rows=tuple(rows)),),
        charts=(
            Report(name="C10", title="Right answers by language", x="", y="share of answers", rows=tuple(
                Row(series={"en": "English", "zh": "Chinese"}[lang], x="all kinds", values=seed_means(whole[lang]))
                for lang in LANGUAGES
            )),
        ),
        notes=(
            f"The margin of {MARGIN:g} is ours. Answers are judged by exact words; a Chinese one has no article "
            "or plural to get wrong.",
        ),
    )  # fmt: skip
