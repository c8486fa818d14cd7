"""Caption metrics of the COCO evaluation: its tokens, BLEU and ROUGE-L. CIDEr-D is in `lavida.eval.metrics`.

The published figures are computed on the tokens of Stanford's PTB tokenizer, which needs Java. `ptb_words` gives the
same tokens for captions (docs/evaluation.md has the measured agreement), so that figures can be compared.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

from lavida.eval.metrics import NGRAMS

Tokens = Callable[[str], list[str]]

BETA = 1.2  # weight of recall in ROUGE-L
_SMALL, _TINY = 1e-9, 1e-15  # keep the ratios of BLEU defined, as in the COCO evaluation

# Tokens that the COCO evaluation drops. Brackets are not among them: it lists them in capitals and reads lower case.
_DROPPED = frozenset("'' ' `` ` . ? ! , : - -- ... ; \" — –".split())
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_TWO_WORDS = {
    "cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"), "wanna": ("wan", "na"),
    "lemme": ("lem", "me"), "gimme": ("gim", "me"),
}  # fmt: skip
_ABBREVIATIONS = (
    "mr|mrs|ms|dr|st|jr|sr|vs|etc|inc|co|corp|ltd|prof|gen|sen|rep|gov|lt|sgt|capt|rev|hon|jan|feb|mar|apr|jun|jul|aug|"
    "sep|sept|oct|nov|dec|mt|ft|ave|blvd|dept|est|bros|fig"
)
_WORD = r"[^\W_]"  # a letter or digit
_TOKEN = re.compile(
    rf"""
    \S+@\S+\.\w+ | www\.\S*\w                               # addresses
    | (?:[a-z]\.)+(?!\w)                                    # u.s.  a.m.  b.
    | (?:{_ABBREVIATIONS})\.(?!\w) | no\.(?=\s+\d)          # st.
    | \d+/\d+                                               # 1/2
    | (?:\d+(?:[.,:]\d+)*|\.\d+)(?:st|nd|rd|th|s|e-\d+)?(?![\w-])  # 1,000  3.5  .5  5:30  1st  1980s
    | '(?:s|m|d|ll|re|ve)\b | 'n' | '\d\ds                   # pieces that follow a word, and '50s
    | y'(?=all\b)
    | {_WORD}+(?:['-]{_WORD}+|[/&.](?={_WORD}){_WORD}+)*      # t-shirt, o'clock, and/or
    | \.\.\. | -- | `` | '' | \*+
    | \S
    """,
    re.VERBOSE,
)
_CLITIC = re.compile(r"(?<=.)(n't|'(?:s|m|d|ll|re|ve))$")


def ptb_words(text: str) -> list[str]:
    """Return the tokens of a caption as the COCO evaluation counts them: lower case, no punctuation."""
    found: list[str] = []
    for token in _TOKEN.findall(text.lower().replace("’", "'").replace("‘", "'")):
        found += _parts(token)
    return [token for token in found if token not in _DROPPED]


def _parts(token: str) -> list[str]:
    """Return a token cut before n't, 's and the like."""
    if token in _BRACKETS:
        return [_BRACKETS[token]]
    if token in _TWO_WORDS:
        return list(_TWO_WORDS[token])
    clitics: list[str] = []
    while (found := _CLITIC.search(token)) and token != found[0]:
        clitics.insert(0, found[0])
        token = token[: found.start()]
    return [token, *clitics]


def bleu(
    captions: Sequence[str], references: Sequence[Sequence[str]], tokens: Tokens = ptb_words
) -> tuple[float, float, float, float]:
    """Return BLEU-1 to BLEU-4 of all captions together, each 0 to 1 (Papineni et al., 2002).

    The length of the nearest reference counts for the brevity penalty, the shorter of two equally near.

    Args:
        captions: One for each picture.
        references: Of each picture, at least one.
        tokens: Cuts a text into tokens.
    """
    matched, written, length, nearest = [0] * NGRAMS, [0] * NGRAMS, 0, 0
    for caption, refs in zip(captions, references, strict=True):
        own, others = tokens(caption), [tokens(ref) for ref in refs]
        length += len(own)
        nearest += min((abs(len(ref) - len(own)), len(ref)) for ref in others)[1]
        for n in range(NGRAMS):
            most: Counter[tuple[str, ...]] = Counter()
            for ref in others:
                most |= _grams(ref, n + 1)
            matched[n] += (_grams(own, n + 1) & most).total()
            written[n] += max(0, len(own) - n)
    scores, product = [], 1.0
    ratio = (length + _TINY) / (nearest + _SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    for n in range(NGRAMS):
        product *= (matched[n] + _TINY) / (written[n] + _SMALL)
        scores.append(product ** (1 / (n + 1)) * penalty)
    return scores[0], scores[1], scores[2], scores[3]


def rouge_l(caption: str, references: Sequence[str], tokens: Tokens = ptb_words) -> float:
    """Return ROUGE-L of one caption, 0 to 1: best precision and best recall over the references (Lin, 2004)."""
    own = tokens(caption) or [""]
    precision = recall = 0.0
    for reference in references:
        other = tokens(reference) or [""]
        common = _common_length(own, other)
        precision, recall = max(precision, common / len(own)), max(recall, common / len(other))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _common_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]
