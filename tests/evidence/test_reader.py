"""Finding and reading lines of text, without the networks."""

import numpy as np
import pytest

from lavida.config import ReadingConfig
from lavida.evidence.reader import Text, connected, find_reader, grown_boxes, in_reading_order, read_path
from lavida.text.reading import DOCUMENTS, LOOKED, PLACES, read_ids


def test_connected_parts_of_a_mask():
    rows = ["##..#", ".#.##", ".....", "#.#..", "###.#"]
    labels = connected(np.array([[c == "#" for c in row] for row in rows]))
    parts = {tuple(map(tuple, np.argwhere(labels == i))) for i in range(1, labels.max() + 1)}
    assert labels.max() == 4
    assert ((0, 0), (0, 1), (1, 1)) in parts and ((0, 4), (1, 3), (1, 4)) in parts
    assert ((3, 0), (3, 2), (4, 0), (4, 1), (4, 2)) in parts  # joined from below
    assert connected(np.zeros((3, 3), bool)).max() == 0


def test_a_line_is_grown_to_its_height():
    odds = np.zeros((64, 128), np.float32)
    odds[20:30, 10:110] = 0.9
    odds[50:52, 4:6] = 0.9  # a speck
    ((x0, y0, x1, y1),) = grown_boxes(odds)
    assert (y1 - y0) == pytest.approx(10 + 2 * 10 * 100 * 1.4 / 220) and x0 < 10 and x1 > 110


def test_ctc_path():
    characters = ["", "a", "b", " "]
    odds = np.eye(4, dtype=np.float32)[[1, 1, 0, 1, 2, 2, 3]]
    assert read_path(odds, characters) == ("aab", 1.0)
    assert read_path(np.eye(4, dtype=np.float32)[[0, 0]], characters) == ("", 0.0)


def test_reading_order():
    at = {"b": (0.6, 0.11), "a": (0.1, 0.1), "c": (0.0, 0.5)}
    texts = [Text(text=k, score=1, left=x, top=y, right=x + 0.2, bottom=y + 0.1) for k, (x, y) in at.items()]
    assert [t.text for t in in_reading_order(texts)] == ["a", "b", "c"]


def test_without_files_there_is_no_reader(tmp_path):
    assert find_reader(tmp_path) is None


def test_what_was_read_goes_into_the_prompt(mini_tokenizer):
    t = mini_tokenizer
    assert read_ids(t, []) == [t.id_of(LOOKED)]
    ids = read_ids(t, [("OPEN", (0.1, 0.1, 0.5, 0.2)), ("exit", (0.1, 0.7, 0.5, 0.9))])
    assert ids == [t.id_of(LOOKED), t.id_of(PLACES[0]), *t.encode("OPEN"), t.id_of(PLACES[2]), *t.encode("exit")]


def test_a_document_goes_into_the_prompt_line_by_line_as_json_spells_it(mini_tokenizer):
    t = mini_tokenizer
    texts = [
        ("Blue Market", (0.1, 0.1, 0.5, 0.2)), ("Total", (0.1, 0.7, 0.3, 0.8)), ('12.50 "', (0.6, 0.69, 0.9, 0.8)),
        ("below", (0.1, 0.9, 0.3, 0.95)),
    ]  # fmt: skip
    ids = read_ids(t, texts, DOCUMENTS)
    places = [t.id_of(place) for place in PLACES]
    first, second, third = ('"Blue Market"', '"Total"', r'"12.50 \""')
    beside = [*t.encode(second), *t.encode(third)]
    assert ids == [t.id_of(LOOKED), places[0], *t.encode(first), places[2], *beside, places[2], *t.encode('"below"')]
    answer = t.encode('{"shop": "Blue Market"}')
    copied = t.encode(first)
    assert any(answer[i : i + len(copied)] == copied for i in range(len(answer)))  # the same tokens in an object


def test_the_largest_texts_are_kept_as_far_as_there_is_room(mini_tokenizer):
    t = mini_tokenizer
    texts = [(name, (0.1, i / 10, 0.5, i / 10 + size)) for i, (name, size) in enumerate(zip("abc", (0.01, 0.05, 0.03)))]
    assert read_ids(t, texts, ReadingConfig(texts=2)) == read_ids(t, texts[1:])
    narrow = ReadingConfig(room=2 * (1 + len(t.encode("b"))))
    assert read_ids(t, texts, narrow) == read_ids(t, texts[1:])
    cut = ReadingConfig(tokens=3)
    assert read_ids(t, [("a b c d e", (0, 0, 1, 0.1))], cut)[2:] == t.encode("a b c d e")[:3]


@pytest.fixture
def mini_tokenizer():
    from pathlib import Path

    import lavida
    from lavida.text.tokenizer import Tokenizer

    return Tokenizer.load(Path(lavida.__file__).parent / "assets" / "mini")
