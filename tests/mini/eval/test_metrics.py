"""Concepts named in captions."""

import pytest

from mini.eval.metrics import noun_scores, nouns


def test_nouns_count_plurals_as_names():
    assert nouns("two wolves and a pony with glasses") == {"wolf", "glasses"}


def test_noun_scores_are_pooled():
    recall, precision = noun_scores(["two cats and a pig.", "a dog."], [{"cat"}, {"dog", "sheep"}])
    assert recall == pytest.approx(2 / 3) and precision == pytest.approx(2 / 3)


def test_chinese_names_are_found_by_longest_match():
    assert nouns("一只猫头鹰、一只龙虾和一件T恤。") == {"owl", "lobster", "shirt"}
    assert nouns("三只猫和a dog") == {"cat", "dog"}
