from __future__ import annotations

import pytest

from lavida.errors import RequestError
from lavida.text.holes import Hole, read_holes
from tests.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def test_a_text_is_cut_at_its_holes_and_the_space_before_one_is_its_own() -> None:
    holed = read_holes("There is a [M:4] in it, next to [M].", TOKENIZER, most=6)
    assert holed.texts == ("There is a", " in it, next to", ".")
    assert holed.holes == (Hole(least=4, most=4, spaced=True), Hole(least=1, most=6, spaced=True))


@pytest.mark.parametrize(
    ("text", "words", "filled"),
    [
        ("a [M] and [M:2-3].", ("cat", "one dog"), "a cat and one dog."),
        ("[M:2] on a mat", ("a cat",), "a cat on a mat"),
        ("say '[M:1]'", ("cat",), "say 'cat'"),
        ("a[M:0-2]b [M]", ("", "c"), "ab c"),
        ("[M][M:1]", ("a", "b"), "ab"),
        ("one [M:0-2] ball", ("",), "one ball"),
        ("[M:1]", ("cat",), "cat"),
    ],
)
def test_what_is_given_stands_in_the_filled_text_as_it_was(text: str, words: tuple[str, ...], filled: str) -> None:
    assert read_holes(text, TOKENIZER, most=6).filled(words) == filled


@pytest.mark.parametrize("text", ["a [M] and a dog.", "[M] and a dog", "a cat[M:1]", "one red ball [M], [M] left"])
def test_the_tokens_around_holes_are_those_of_the_whole_text(text: str) -> None:
    holed = read_holes(text, TOKENIZER, most=6)
    whole = TOKENIZER.encode(text.replace("[M:1]", "").replace(" [M]", "").replace("[M]", ""))
    assert TOKENIZER.decode(i for ids in holed.ids for i in ids) == TOKENIZER.decode(whole)
    assert [len(ids) > 0 for ids in holed.ids] == [bool(piece) for piece in holed.texts]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a cat", "the text has no hole"),
        ("[Mango]", "the text has no hole"),
        ("a [M:x]", r"cannot read the hole \[M:x\]"),
        ("a [M:1-]", r"cannot read the hole \[M:1-\]"),
        ("a [M:0]", "has room for nothing"),
        ("a [M:5-2]", "has room for nothing"),
    ],
)
def test_holes_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_holes(text, TOKENIZER, most=6)


@pytest.mark.parametrize(
    ("text", "texts", "filled"),
    [
        (r"press \[M] for [M:1]", ("press [M] for", ""), "press [M] for cat"),
        (r"\[M:x] [M:1]", ("[M:x]", ""), "[M:x] cat"),
        (r"C:\\[M:1]", ("C:\\", ""), "C:\\cat"),
        (r"\\\[M] [M:1] \a", ("\\[M]", " \\a"), "\\[M] cat \\a"),
    ],
)
def test_a_backslash_makes_a_hole_text(text: str, texts: tuple[str, ...], filled: str) -> None:
    holed = read_holes(text, TOKENIZER, most=6)
    assert holed.texts == texts and holed.filled(["cat"]) == filled


def test_an_escaped_hole_alone_is_no_hole() -> None:
    with pytest.raises(RequestError, match="the text has no hole"):
        read_holes(r"a \[M]", TOKENIZER, most=6)


def test_a_control_token_in_the_text_stays_text() -> None:
    holed = read_holes("a <|mask|> [M]<|eos|>", TOKENIZER, most=6)
    assert TOKENIZER.special_ids.isdisjoint(i for ids in holed.ids for i in ids)
    assert holed.filled(["cat"]) == "a <|mask|> cat<|eos|>"
