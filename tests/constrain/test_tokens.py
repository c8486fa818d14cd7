from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from lavida.constrain import tokens
from lavida.constrain.dfa import compile_term
from lavida.constrain.grammar import text
from lavida.constrain.regex import regex_term
from lavida.constrain.tokens import lift, term_automaton
from lavida.text.spelling import Spelling, spell
from tests.constrain.walks import accepts
from tests.tiny import tiny_tokenizer


@pytest.mark.parametrize("pattern", ["[ab]*c", "é+a?", ".{2,4}", '"[^"]{0,3}"', r"(cat|dog|a)( and (cat|dog))*", ""])
def test_tokens_are_accepted_as_their_bytes_are(pattern: str) -> None:
    dfa, r = compile_term(regex_term(pattern)), random.Random(0)
    pool = [
        b"",
        b"a",
        b"b",
        b"ab",
        b"c",
        "é".encode(),
        "é".encode()[:1],
        "é".encode()[1:],
        b'"',
        b'a"',
        b"cat",
        b" and",
    ]
    spelling = Spelling.of([*pool, b" ", b"dog", b"bc", b"aab"])
    automaton = lift(dfa, spelling)
    accepted = 0
    for _ in range(1500):
        ids = [r.randrange(1, spelling.size) for _ in range(r.randint(0, 5))]
        try:
            spelled = b"".join(map(spelling.bytes_of, ids)).decode()
        except UnicodeDecodeError:
            assert not accepts(automaton, ids)
            continue
        assert accepts(automaton, ids) == dfa.accepts(spelled)
        accepted += dfa.accepts(spelled)
    assert accepted


def test_tokens_of_equal_effect_are_one_class() -> None:
    spelling = Spelling.of([b"", *(bytes([97 + i, 97 + j]) for i in range(26) for j in range(26)), b"x", b"2"])
    automaton = lift(compile_term(regex_term("[a-z]{0,9}")), spelling)
    assert len(set(automaton.class_of[1:-2].tolist())) == 1 and automaton.class_of.max() == 2
    assert automaton.class_of[0] == automaton.class_of[-1] == 0
    assert (np.diff(automaton.target) >= 0).all()


def test_a_vocabulary_that_cannot_write_it_gives_no_state() -> None:
    automaton = lift(compile_term(text("abc")), Spelling.of([b"a", b"b"]))
    assert len(automaton.final) == 0 and len(automaton.source) == 0 and (automaton.class_of == 0).all()


def test_spelling_is_what_the_tokenizer_decodes() -> None:
    tokenizer, r = tiny_tokenizer(), random.Random(0)
    spelling, backend = spell(tokenizer), tokenizer.backend()
    for _ in range(300):
        ids = [r.randrange(spelling.size) for _ in range(r.randint(1, 8))]
        spelled = b"".join(map(spelling.bytes_of, ids)).decode("utf-8", "replace")
        assert spelled == backend.decode(ids, skip_special_tokens=True)
    assert spelling.bytes_of(tokenizer.mask_id) == b"" and spell(tokenizer) is spelling


def test_exact_text_keeps_its_blanks() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(tokenizer.encode(" a "), exact=True) == " a "
    assert tokenizer.decode(tokenizer.encode(" a ")) == "a"


def test_an_automaton_is_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tokens._term_automaton.cache_clear()
    tokenizer, term = tiny_tokenizer(), regex_term("(kept|on disk)+")
    first = term_automaton(term, tokenizer)
    (file,) = tmp_path.rglob("*.safetensors")
    assert term_automaton(term, tokenizer) is first  # from memory
    tokens._term_automaton.cache_clear()
    monkeypatch.setattr(tokens, "compile_capped", lambda term: pytest.fail("it was made again"))
    again = term_automaton(term, tokenizer)
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in vars(first))
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tokens._term_automaton.cache_clear()
    file.write_bytes(b"broken")
    assert np.array_equal(term_automaton(term, tokenizer).target, first.target)
    assert file.read_bytes() != b"broken"  # and mended


def test_the_folder_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tokens, "MOST_FILES", 3)
    automaton = lift(compile_term(text("a")), Spelling.of([b"a"]))
    for number in range(5):
        tokens.keep(f"key{number}", automaton)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3 and tokens.fetch("key4") is not None
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    tokens.keep("nowhere", automaton)
    assert tokens.fetch("nowhere") is None
