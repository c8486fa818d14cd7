"""Names are found in token ids of either language, the longest first, whatever their case."""

from __future__ import annotations

from pathlib import Path

import pytest

import lavida
from lavida.errors import CheckpointError
from lavida.text.names import MAIN, NAMES, Name, NameFinder, load_names, mentions, save_names
from lavida.text.tokenizer import USER, Tokenizer

MINI = Path(lavida.__file__).parent / "assets" / "mini"
LIST = [
    Name(words=("dog", "dogs", "狗"), classes=(1, 2), things=(0,)),
    Name(words=("traffic light", "traffic lights", "红绿灯"), classes=(), things=(3,)),
    Name(words=("light",), classes=(4,), things=()),
    Name(words=("热狗",), classes=(5,), things=()),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """The tokenizer of lavida-mini."""
    return Tokenizer.load(MINI)


@pytest.mark.parametrize(
    "text, found",
    [
        ("Is there a dog?", [("dog", 0)]),
        ("HOW MANY DOGS near the traffic lights", [("DOGS", 0), ("traffic lights", 1)]),
        ("the dog's fur", [("dog's", 0)]),
        ("a light dogma", [("light", 2)]),
        ("a traffic  light", [("light", 2)]),
        ("图里有几只狗和红绿灯？", [("狗", 0), ("红绿灯", 1)]),
        ("这是热狗吗", [("热狗", 3)]),
        ("nothing", []),
        ("", []),
    ],
)
def test_names_are_found_at_their_tokens(tokenizer: Tokenizer, text: str, found: list[tuple[str, int]]) -> None:
    ids = tokenizer.encode(text)
    hits = NameFinder(LIST, tokenizer).find(ids)
    assert [name for _, name in hits] == [name for _, name in found]
    for (places, _), (word, _) in zip(hits, found, strict=True):
        assert word in tokenizer.decode(ids[places])


def test_pictures_are_no_text_and_a_turn_asks_about_the_main_thing(tokenizer: Tokenizer) -> None:
    user = tokenizer.id_of(USER)
    dog = tokenizer.encode("dog")
    found = mentions(NameFinder(LIST, tokenizer), [-200, user, *dog, -200, user], user)
    assert found == [(slice(1, 2), MAIN), (slice(4, 5), MAIN), (slice(2, 2 + len(dog)), 0)]


def test_the_file_comes_back_and_damage_is_said(tmp_path: Path) -> None:
    assert load_names(tmp_path) is None
    save_names(LIST, tmp_path)
    assert load_names(tmp_path) == LIST
    for text in ("[", '[["dog"]]', '[[["dog"], ["x"], []]]', "3"):
        (tmp_path / NAMES).write_text(text)
        with pytest.raises(CheckpointError, match=r"names\.json"):
            load_names(tmp_path)
