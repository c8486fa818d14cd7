"""Metrics of short answers: VQA accuracy, ANLS, relaxed accuracy, exact match without punctuation.

Each follows the evaluation code of its benchmark to the letter, oddities included, because that is what published
figures were computed with.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

ANLS_THRESHOLD = 0.5
TOLERANCE = 0.05  # of relaxed accuracy
AGREEING = 3  # annotators who make an answer fully right

_NUMBERS = {word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine ten".split())}
_NUMBERS["none"] = "0"
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = tuple(r';/[]"{}()=+\_-><@`,?!')
_PERIOD = re.compile(r"(?!<=\d)(\.)(?!\d)")  # the published expression; its look-behind is misspelt and does nothing
_PERIODS = 32  # at most so many are dropped: the published code passes a flag in the place of the count
_COMMA = re.compile(r"(?<=\d),+(?=\d)")
# Written without one of its apostrophes, each of these is written out.
_CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd "
    "he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've "
    "needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've "
    "somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll "
    "that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've "
    "weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've "
    "why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're "
    "you've"
)


def _written_out() -> dict[str, str]:
    words = {word[:i] + word[i + 1 :]: word for word in _CONTRACTIONS.split() for i, c in enumerate(word) if c == "'"}
    return words | {"somebody'd": "somebodyd", "yall'd've": "y'all'd've"}


_WRITTEN_OUT = _written_out()


def without_punctuation(text: str) -> str:
    """Return an answer as VQA compares it, punctuation dropped or replaced by spaces."""
    joined = _COMMA.search(text) is not None
    out = text
    for mark in _PUNCTUATION:
        out = out.replace(mark, "" if joined or mark + " " in text or " " + mark in text else " ")
    return _PERIOD.sub("", out, _PERIODS)


def without_articles(text: str) -> str:
    """Return an answer as VQA compares it, numbers as digits, articles dropped, contractions written out."""
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_WRITTEN_OUT.get(word, word) for word in words if word not in _ARTICLES)


def normal_answer(text: str) -> str:
    """Return an answer as VQAv2 and TextVQA compare it."""
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return without_articles(without_punctuation(text.replace("\n", " ").replace("\t", " ").strip()))


def vqa_accuracy(answer: str, annotators: Sequence[str]) -> float:
    """Return the accuracy of VQAv2: the mean, over the annotators, of min(1, others who agree / 3).

    All answers are normalised. LaViDa's copy of lmms-eval normalises the model's answer more than what it is held
    against, so that "t-shirt" is wrong there if all annotators wrote just that.
    """
    answer, *written = (
        without_articles(without_punctuation(text.replace("\n", " ").replace("\t", " ").strip()))
        for text in (answer, *annotators)
    )
    return _agreement(answer, written)


def textvqa_accuracy(answer: str, annotators: Sequence[str]) -> float:
    """Return the accuracy of TextVQA: as that of VQAv2, with every annotator's answer normalised."""
    return _agreement(normal_answer(answer), [normal_answer(text) for text in annotators])


def _agreement(answer: str, written: Sequence[str]) -> float:
    if not written:
        return 0.0
    agree = sum(text == answer for text in written)
    shares = [min(1.0, (agree - (text == answer)) / AGREEING) for text in written]
    return sum(shares) / len(shares)


def anls(answer: str, references: Sequence[str]) -> float:
    """Return the normalised Levenshtein similarity to the nearest reference, 0 below one half (arXiv 1905.13648)."""
    best = 0.0
    for reference in references:
        distance = edit_distance(_spaced(reference), _spaced(answer))
        length = max(len(reference), len(answer))
        best = max(best, 1 - distance / length if length else 1.0)
    return best if best >= ANLS_THRESHOLD else 0.0


def _spaced(text: str) -> str:
    return " ".join(text.lower().split())


def edit_distance(a: str, b: str) -> int:
    """Return the Levenshtein distance: the fewest insertions, deletions and replacements between two texts."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def relaxed_match(answer: str, reference: str) -> bool:
    """Return whether an answer is right within 5 % if both are numbers, else equal but for case (arXiv 2203.10244)."""
    number, wanted = _number(answer), _number(reference)
    if number is not None and wanted:
        return abs(number - wanted) / abs(wanted) <= TOLERANCE
    return answer.lower() == reference.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


_MARKS = str.maketrans("", "", string.punctuation)


def same_but_for_marks(answer: str, reference: str) -> bool:
    """Return whether two answers are equal but for case, punctuation and blanks around them (GQA, AI2D)."""
    return answer.lower().translate(_MARKS).strip() == reference.lower().translate(_MARKS).strip()
