from __future__ import annotations

import random
import re

import pytest

from lavida.constrain.dfa import Dfa, compile_term
from lavida.constrain.regex import regex_term
from lavida.errors import RequestError

ALPHABET = "ab cABC01.-@éüñfoxyz\n\t日"


def automaton(pattern: str, *, search: bool = False) -> Dfa:
    return compile_term(regex_term(pattern, search=search))


@pytest.mark.parametrize(
    "pattern",
    [
        "a|ab",  # the second alternative is no shorter
        "(a|b)*abb",
        "^(fo|xo)+$",
        "^a|b$",
        "[^a-c]{2}",
        "(?i)aBc",
        "(?i:a)b",
        r"\d{2}-\d",
        "a??b*?",
        "x(?:y|)z",
        r"[\d.]+",
        r"\S+",
        r"[^\S]*",
        "(?s).",
        ".*",
        "é|ü",
        "[à-ü]+",
        "",
        "a{3,}",
        "(?x) a b # c",
        "日?",
    ],
)
def test_agrees_with_python(pattern: str) -> None:
    r, whole, within = random.Random(0), automaton(pattern), automaton(pattern, search=True)
    found = 0
    for _ in range(400):
        pool = r.choice([ALPHABET, pattern or "a", "ab01-", "a"])
        text = "".join(r.choice(pool) for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4, 5])))
        if text.endswith("\n") and "$" in pattern:
            continue  # where Python's $ stands before the last line break
        assert whole.accepts(text) == (re.fullmatch(pattern, text) is not None), text
        assert within.accepts(text) == (re.search(pattern, text) is not None), text
        found += within.accepts(text)
    assert found


@pytest.mark.parametrize(
    ("pattern", "lost"), [(r"\w", "é"), (r"\W", "。"), (r"[^\W]", "é"), (r"\D", "é"), (r"\d", "٣")]
)
def test_beyond_ascii_categories_keep_less_than_python_and_nothing_else(pattern: str, lost: str) -> None:
    assert re.fullmatch(pattern, lost) and not automaton(pattern).accepts(lost)
    for char in map(chr, (*range(300), *range(0x600, 0x680), *range(0x3000, 0x3020))):
        assert not automaton(pattern).accepts(char) or re.fullmatch(pattern, char)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "malformed: missing"),
        ("a{2,1}", "malformed"),
        (r"\p{L}", r"malformed: bad escape \\p"),
        ("a(?=b)", "looking ahead"),
        (r"(a)\1", "a reference to a group"),
        (r"a\b", "in the middle"),
        ("a^b", "in the middle"),
        ("(?>ab)", "an atomic group"),
        ("a++", "a possessive repeat"),
        ("(?m)^a", "flags"),
        pytest.param("a" * 60_000, "60000 characters; 50000 are the most", id="long"),
        pytest.param("(" * 3000 + "a" + ")" * 3000, "nested too deeply", id="deep"),
        ("(a|b)*a(a|b){20}", "too complex"),
        ("((a{100}){100}){100}", "too complex"),
        ("(?:a?){5000}a{5000}", "too complex"),
        ("a{1000000000}", "too complex"),
    ],
)
def test_refuses_in_one_line(pattern: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as told:
        automaton(pattern)
    assert "\n" not in str(told.value)
