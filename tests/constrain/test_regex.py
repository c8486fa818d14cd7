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
    ("pattern", "example"),
    [
        ("a|ab", "ab"),
        ("(a|b)*abb", "babb"),
        ("^(fo|xo)+$", "foxo"),
        ("^a|b$", "b"),
        ("[^a-c]{2}", "éé"),
        ("(?i)aBc", "AbC"),
        ("(?i:a)b", "Ab"),
        (r"\d{2}-\d", "12-3"),
        ("a??b*?", "abb"),
        ("x(?:y|)z", "xz"),
        (r"[\d.]+", "1.5"),
        (r"\S+", "日a"),
        (r"[^\S]*", " \t"),
        ("(?s).", "\n"),
        (".*", "a b"),
        ("é|ü", "ü"),
        ("[à-ü]+", "éü"),
        ("", ""),
        ("a{3,}", "aaaa"),
        ("(?x) a b # c", "ab"),
        ("日?", "日"),
        ("^yes$|^no$", "no"),
        ("(^a|b$)+", "ab"),
        (r"a\b b", "a b"),
        ("(?m)^a$\n^b$", "a\nb"),
        ("(?a)[^\\W]+", "ab"),
        (r"\ba\Bb", "ab"),
    ],
)
def test_agrees_with_python(pattern: str, example: str) -> None:
    r, whole, within = random.Random(0), automaton(pattern), automaton(pattern, search=True)
    assert whole.accepts(example) and re.fullmatch(pattern, example)
    for _ in range(400):
        pool = r.choice([ALPHABET, pattern or "a", example or "a", "ab01-"])
        text = "".join(r.choice(pool) for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4, 5])))
        if text.endswith("\n") and "$" in pattern:
            continue  # where Python's $ stands before the last line break
        assert whole.accepts(text) == (re.fullmatch(pattern, text) is not None), text
        assert within.accepts(text) == (re.search(pattern, text) is not None), text


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
        ("(?>ab)", "an atomic group"),
        ("a++", "a possessive repeat"),
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
