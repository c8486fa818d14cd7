"""The evaluations of filling, auditing and revising: what is drawn, and that the figures are those of the texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lavida.edit.audit import Audit, Token, Word, word_spans
from mini.data import english
from mini.eval.audit import draw_swaps, evaluate_audit, grey_picture, word_owners
from mini.eval.infill import MOST, WORDS, Gap, draw_gaps, evaluate_infill, span_figures
from mini.eval.metrics import nouns
from tests.mini.eval.fakes import tiny_features, tiny_model


def _twin(model):
    """The same with a causal mask."""
    config = model.net.config
    model.net.config = replace(config, denoiser=replace(config.denoiser, autoregressive=True, logit_shift=True))
    return model


def test_gaps_are_cut_out_of_captions() -> None:
    scenes = [truth.scene for truth in tiny_features(12).records]
    gaps = draw_gaps(scenes, 10, seed=3)
    assert gaps == draw_gaps(scenes, 10, seed=3) != draw_gaps(scenes, 10, seed=4)
    for gap in gaps:
        said = english.caption if gap.question == "Describe the image." else english.detailed
        assert gap.before + gap.span + gap.after == said(scenes[gap.picture])
        assert 1 <= len(gap.span.split()) <= WORDS and not gap.span.endswith((",", " "))
    assert {gap.question for gap in gaps} == {"Describe the image.", "Describe the image in detail."}


def test_span_figures() -> None:
    gaps = [
        Gap(picture=i, question="", before="", span=span, after=".")
        for i, span in enumerate(["a cat", "two red owls", "dog"])
    ]
    right = span_figures(gaps, ["a cat", "two red owls", "dog"])
    wrong = span_figures(gaps, ["a cat", "one blue bird", ""])
    assert right["exact"] == 1 and wrong["exact"] == pytest.approx(1 / 3)
    assert right["cider"] > wrong["cider"] > 0


def test_every_arm_writes_into_every_gap() -> None:
    model, twin, features = tiny_model(), _twin(tiny_model(1)), tiny_features(3)
    result = evaluate_infill(model, features, 2, twin=twin, log=lambda line: None)
    assert list(result["methods"]) == ["known", "unknown", "prefix_only", "twin_prefix_only"]
    for row in result["rows"]:
        span = row["text"].split("[")[1].split("]")[0]
        assert all(isinstance(row[method], str) for method in result["methods"])
        missing = len(model.tokenizer.encode_on(" " + span))
        for method in ("known", "prefix_only", "twin_prefix_only"):
            assert len(model.tokenizer.encode_on(row[method])) <= 4 * missing  # of so many tokens, whatever they are
    assert json.dumps(result) and MOST >= WORDS


def test_swaps_change_one_name_and_fit_the_words_around_it() -> None:
    scenes = [truth.scene for truth in tiny_features(30).records]
    swaps = draw_swaps(scenes, 8, seed=0)
    assert len(swaps) == 8
    for swap in swaps:
        scene = scenes[swap.picture]
        assert swap.true == english.caption(scene) != swap.text
        assert len(nouns(swap.text) - set(scene.counts)) == 1 and len(swap.names) == len(scene.counts)
        first, stop = swap.names[swap.wrong]
        assert nouns(swap.text[first:stop]) == nouns(swap.text) - set(scene.counts)
        kept = [swap.text[a:b] for k, (a, b) in enumerate(swap.names) if k != swap.wrong]
        assert all(nouns(name) <= set(scene.counts) for name in kept)


def test_words_are_found_by_where_the_names_stand() -> None:
    tokens = [" two", " pan", "das", " and", " an", " owl", "."]
    values = [Token(text=t, seen=0.0, blind=0.0, instead="", instead_seen=0.0) for t in tokens]
    audit = Audit(words=tuple(Word(tokens=tuple(values[a:b])) for a, b in word_spans(tokens)))
    text = "two pandas and an owl."
    places = tuple((text.index(name), text.index(name) + len(name)) for name in ("pandas", "owl"))
    swap = replace(draw_swaps([t.scene for t in tiny_features(9).records], 1, 0)[0], text=text, names=places)
    assert [[audit.words[i].text for i in owned] for owned in word_owners(audit, swap)] == [[" pandas"], [" owl"]]


def test_both_models_are_audited_and_one_revises() -> None:
    model, twin, features = tiny_model(), _twin(tiny_model(1)), tiny_features(12)
    maps, truth = grey_picture(model)
    assert maps.shape == (5, 196, 80) and 0 <= truth.probability <= 1
    model.labels = twin.labels = None  # the tower's classifier knows a thousand, these models three
    result = evaluate_audit(model, features, 2, twin=twin, log=lambda line: None)
    assert result["n"] == 2 and list(result["ranks"]) == ["model", "twin"]
    for by in result["ranks"].values():
        for figures in by.values():
            assert all(0 <= value <= 1 for value in figures.values())
    assert 0 <= result["revised"]["restored"] <= result["revised"]["changed"] <= 1


def test_commands_refuse_in_one_line(tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mini.__main__ import main

    for verb in ("infill", "audit"):
        assert main(["eval", verb, "--split", "v"]) == 2
        assert "unknown split 'v'; choose one of i, ii_style" in capsys.readouterr().err
        assert main(["eval", verb, "--model", str(tiny_folder), "--data", str(tmp_path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
