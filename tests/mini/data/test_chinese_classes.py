"""The Chinese names of the tower's classes: one plain name each, kinds said in Chinese."""

from __future__ import annotations

import json

import pytest

from lavida.errors import DataError
from lavida.text.labels import Label
from mini.data import chinese_classes
from mini.data.chinese_classes import FILE, plain, with_chinese

LABELS = [Label(name="tench", kinds=("fish", "animal")), Label(name="paper towel", kinds=("thing",))]


def package(folder, names):
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_text(json.dumps({"imagenet1k": names}), encoding="utf-8")
    return folder


def test_plain_names():
    names = {
        "洗衣机": "洗衣机",
        "食蜂鸟；蜂虎": "食蜂鸟",
        "（小儿用的）围嘴": "围嘴",
        "沙球（一种打击乐器）": "沙球",
        "水罐,壶": "水罐",
    }
    assert {n: plain(n) for n in names} == names


def test_every_class_is_named_in_both_languages(tmp_path, monkeypatch):
    monkeypatch.setattr(chinese_classes, "_RIGHT", {1: "纸巾"})
    first, second = with_chinese(LABELS, package(tmp_path, ["丁鲷", "餐巾纸"]))
    assert (first.name, first.kinds) == ("tench", ("fish", "animal"))
    assert first.said_in("zh") == Label(name="丁鲷", kinds=("鱼", "动物"))
    assert second.said_in("zh").name == "纸巾" and second.said_in("zh").kind == ""


def test_another_list_is_refused(tmp_path):
    with pytest.raises(DataError, match="fetch it again"):
        with_chinese(LABELS, tmp_path)
    with pytest.raises(DataError, match="names 1 classes, not 2"):
        with_chinese(LABELS, package(tmp_path, ["丁鲷"]))
