import json

import pytest

from lavida.errors import DataError
from mini.data.concepts import CONCEPTS
from mini.data.icons import emoji_codes, find_icons, match_icons

CODES = {"dog": "1F415", "dog face": "1F436", "fox": "1F98A", "watch": "231A"}


def test_a_set_with_a_map_is_matched_by_code_point():
    found = list(match_icons({"hund", "fuchs", "watch"}, {"1f415": "hund", "1f98a": "fuchs"}, CODES))
    assert ("dog", "dog", "hund") in found and ("fox", "fox", "fuchs") in found
    assert ("watch", "watch", "watch") in found


def test_a_set_without_a_map_is_matched_by_name_each_icon_once():
    found = list(match_icons({"dogside", "dog", "fox-1", "fox-2", "foxgrin"}, {}, CODES))
    assert ("dog", "dog", "dogside") in found and ("dog", "dog face", "dog") in found
    assert [icon for c, _, icon in found if c == "fox"] == ["fox-1", "fox-2"]
    assert len({icon for _, _, icon in found}) == len(found)


def test_further_labels_come_after_a_concept_s_own():
    found = [label for concept, label, _ in match_icons({"dog", "poodle", "dogside"}, {}, CODES) if concept == "dog"]
    assert found[-1] == "poodle" and set(found[:-1]) == set(CONCEPTS["dog"].labels)


def test_icons_become_pictures(tmp_path):
    pytest.importorskip("resvg_py")
    body = '<circle cx="8" cy="8" r="7" fill="#f00"/>'
    (tmp_path / "icons.json").write_text(json.dumps({"icons": {"dog": {"body": body}}, "width": 16, "height": 16}))
    (tmp_path / "info.json").write_text(json.dumps({"license": {"spdx": "MIT"}}))
    (tmp_path / "chars.json").write_text(json.dumps({"1f415": "dog"}))
    (one,) = find_icons({"noto": tmp_path}, CODES, size=64)
    assert (one.concept, one.style, one.licence, one.caption) == ("dog", "noto", "MIT", "dog")
    assert one.picture.size == (64, 64) and one.picture.getpixel((32, 32)) == (255, 0, 0, 255)


def test_a_missing_set_is_told(tmp_path):
    with pytest.raises(DataError, match=r"icons\.json"):
        list(find_icons({"noto": tmp_path}, CODES))


def test_codes_are_read_from_emojibase(tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "data.json").write_text(json.dumps([{"label": "dog", "hexcode": "1F415"}]))
    assert emoji_codes(tmp_path) == {"dog": "1F415"}
