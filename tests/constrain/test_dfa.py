from __future__ import annotations

import random

import numpy as np
import pytest

from lavida.constrain.dfa import Dfa, compile_term, intersection, utf8_spans
from lavida.constrain.grammar import ANY, NOTHING, Both, Chars, Multiple, Repeat, alt, chars, escaped, seq, text
from lavida.constrain.regex import regex_term


def test_every_character_is_one_and_surrogates_are_none() -> None:
    any_one = compile_term(ANY)
    edges = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0x10FFFF]
    assert all(any_one.accepts(chr(c)) for c in edges)
    assert not any(any_one.accepts(c) for c in ("\ud800", "\udfff", "", "ab"))


@pytest.mark.parametrize("seed", range(5))
def test_a_range_of_characters_is_spelled_once(seed: int) -> None:
    r = random.Random(seed)
    low, high = sorted(r.choice([r.randrange(0x110000), r.randrange(0x900)]) for _ in range(2))
    spans = list(utf8_spans(low, high))
    for _ in range(200):
        c = r.choice([low, high, r.randint(low, high), r.randrange(0x110000)])
        if 0xD800 <= c <= 0xDFFF:
            continue
        spelled = chr(c).encode()
        hits = sum(len(s) == len(spelled) and all(a <= b <= z for (a, z), b in zip(s, spelled)) for s in spans)
        assert hits == (low <= c <= high)


def test_sets_of_characters() -> None:
    vowels, some = chars("aeiou"), chars("abc")
    assert "a" in vowels & some and "b" not in vowels & some and "b" in vowels | some
    assert ~~vowels == vowels and "é" in ~vowels and "\ud800" not in ~Chars(())


def test_the_automaton_is_minimal() -> None:
    tails = alt(text(word) for word in ("taxes", "faxes", "boxes", "foxes"))
    assert len(compile_term(tails).final) == 8  # the tails are shared
    assert len(compile_term(Repeat(text("ab"), 0, None)).final) == 2
    again = alt((seq(text("a"), Repeat(chars("xy"), 0, None)), seq(text("b"), Repeat(chars("yx"), 0, None))))
    assert len(compile_term(again).final) == 2


def test_the_empty_language_has_no_state() -> None:
    for term in (NOTHING, seq(text("a"), NOTHING), Repeat(text("a"), 3, 2), Both(text("a"), text("b"))):
        assert len(compile_term(term).final) == 0 and not compile_term(term).accepts("a")


def test_intersection_is_what_both_accept() -> None:
    left, right = compile_term(regex_term("(a|é)*")), compile_term(regex_term(".{2,3}"))
    both = intersection(left, right)
    for one in ("", "a", "aé", "éaa", "aaaa", "ab"):
        assert both.accepts(one) == (left.accepts(one) and right.accepts(one))


def test_multiples() -> None:
    dfa = compile_term(Multiple(28))
    assert [i for i in range(150) if dfa.accepts(str(i))] == [0, 28, 56, 84, 112, 140] and not dfa.accepts("")


def test_escaped_text_is_json() -> None:
    import json

    dfa = compile_term(seq(text('"'), escaped(Repeat(ANY, 0, 4)), text('"')))
    for one in ('a"b', "\\", "é日", "\n\t", ""):
        assert dfa.accepts(json.dumps(one, ensure_ascii=False))
    assert not any(dfa.accepts(one) for one in ('"a"b"', '"\n"', '"\\u0041"', '"\\x"', '"abcde"'))


def test_states_are_numbered_the_same_each_time() -> None:
    def make() -> Dfa:
        return compile_term(regex_term("(a|bc)*d{2,5}|é"))

    assert np.array_equal(make().next, make().next)
