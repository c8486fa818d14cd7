"""A dialogue as ids: what is a target under each rule, where pictures stand, what is too long."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from lavida.data.collate import Example
from lavida.data.encode import Encoder
from lavida.data.rules import RULES, SampleRule, find_rule
from lavida.data.samples import BrokenSample, Sample, read_sample
from lavida.errors import CheckpointError, ConfigError
from lavida.image.tiles import grid_of
from lavida.text.chat import prompt_ids
from lavida.text.messages import IMAGE_ID
from tests.data.sets import letters, model_of, spelled, talk
from tests.pictures import gradient
from tests.tiny import tiny_config, tiny_tokenizer

HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"
USER, ASSISTANT = HEAD.format("user"), HEAD.format("assistant")


def sample(*words: str, images: Any = None, folder: Path | None = None) -> Sample:
    return read_sample({"conversations": talk(*words), "images": images}, "set:0", lambda value: folder / value)


def encoded(
    one: Sample, rule: SampleRule, family: str = "llada", seed: int = 0, **options: Any
) -> tuple[Example, list]:
    """The example, and its stretches of one answer number as text."""
    config, tokenizer = model_of(family)
    example = Encoder(config, tokenizer, rule, **options)(one, random.Random(seed))
    assert len(example.ids) == len(example.answer) == len(example.turn) == len(example.frozen)
    stretches: list[list] = []
    for i, answer in zip(example.ids.tolist(), example.answer.tolist()):
        if not stretches or stretches[-1][0] != answer:
            stretches.append([answer, []])
        stretches[-1][1].append(i)
    return example, [(answer, spelled(ids, tokenizer)) for answer, ids in stretches]


THREE = sample("One?", "1", "Two?", "2", "Three?", "3")


def test_every_answer_is_learnt_with_its_true_history() -> None:
    example, stretches = encoded(THREE, SampleRule())
    assert stretches == [
        (0, f"<|startoftext|>{USER}One?<|eot_id|>{ASSISTANT}"),
        (1, "1<|eot_id|>"),
        (0, f"{USER}Two?<|eot_id|>{ASSISTANT}"),
        (2, "2<|eot_id|>"),
        (0, f"{USER}Three?<|eot_id|>{ASSISTANT}"),
        (3, "3<|eot_id|>"),
    ]
    turns = [example.turn[example.answer == k].unique().tolist() for k in (1, 2, 3)]
    assert turns == [[0], [1], [2]] and example.turn.tolist() == sorted(example.turn.tolist())
    assert example.length == len(example.ids) and not example.frozen.any()


def test_a_plain_text_is_for_models_that_learn_texts() -> None:
    config, tokenizer = model_of("llada")
    text = read_sample({"text": "A cat sat."}, "set:0", Path)
    with pytest.raises(BrokenSample, match="a text without a question"):
        Encoder(config, tokenizer, SampleRule())(text, random.Random(0))


def test_one_random_answer_with_or_without_history() -> None:
    alone = {encoded(THREE, SampleRule(answers="one", history=False), seed=seed)[1][0][1] for seed in range(20)}
    assert alone == {f"<|startoftext|>{USER}{n}?<|eot_id|>{ASSISTANT}" for n in ("One", "Two", "Three")}
    for seed in range(20):
        example, stretches = encoded(THREE, SampleRule(answers="one"), seed=seed)
        assert [answer for answer, _ in stretches] == [0, 1]
        number = int(stretches[1][1][0])
        assert stretches[1][1] == f"{number}<|eot_id|>" and stretches[0][1].count("<|eot_id|>") == 2 * number - 1
        assert example.turn.max() == number - 1


def test_llada_v_learns_the_structure_too() -> None:
    example, stretches = encoded(sample("One?", "1", "Two?", "2"), RULES["llada-v"])
    learnt = "".join(text for answer, text in stretches if answer)
    role = "<|start_header_id|><|end_header_id|>"
    assert learnt == f"<|startoftext|>{role}<|eot_id|>{ASSISTANT}1<|eot_id|>{role}<|eot_id|>{ASSISTANT}2<|eot_id|>"
    assert max(answer for answer, _ in stretches) == 2
    assert all((example.answer == 0) | (example.answer == example.turn + 1))


def test_plain_is_a_picture_and_its_caption(tmp_path: Path) -> None:
    gradient(20, 20).save(tmp_path / "a.png")
    one = sample("<image>\nWhat?", "A cat.", "Sure?", "Yes.", images=["a.png"], folder=tmp_path)
    _, stretches = encoded(one, RULES["lavida-plain"], "lavida-llada")
    assert stretches == [(0, "<image>"), (1, "A cat.\n")]


@pytest.mark.parametrize("family", ["lavida-llada", "lavida-dream", "llada-v"])
def test_the_prompt_is_that_of_inference(family: str, tmp_path: Path) -> None:
    gradient(20, 20).save(tmp_path / "a.png")
    one = sample("<image>\n What? ", "A cat.", images=["a.png"], folder=tmp_path)
    config, tokenizer = model_of(family)
    for rule, newline in ((SampleRule(), False), (SampleRule(keep_newline=True), True)):
        encode = Encoder(config, tokenizer, rule)
        example = encode(one, random.Random(0))
        prompt = example.ids[example.answer == 0].tolist()
        assert prompt == prompt_ids(one.turns[:1], encode.template, tokenizer)
        assert ("<image>\nWhat?" in spelled(prompt, tokenizer)) == (newline or family == "lavida-dream")


def test_the_prompt_of_lavida_mini_is_that_of_inference(photo: Path) -> None:
    tokenizer = tiny_tokenizer()
    one = sample("What is this?\n<image>", "a cat", images=[photo.name], folder=photo.parent)
    example = Encoder(tiny_config(tokenizer), tokenizer)(one, random.Random(0))
    expected = [IMAGE_ID, tokenizer.id_of("<|user|>"), *tokenizer.encode("What is this?")]
    assert example.ids[example.answer == 0].tolist() == [*expected, tokenizer.id_of("<|assistant|>")]
    assert example.ids[example.answer == 1].tolist() == [*tokenizer.encode("a cat"), tokenizer.eos_id]
    assert example.views[0][0].shape == (5, 3, 224, 224) and example.length == len(example.ids) - 1 + 88


def test_several_pictures_are_one_view_each(tmp_path: Path) -> None:
    for name, size in (("a.png", (60, 20)), ("b.png", (20, 60))):
        gradient(*size).save(tmp_path / name)
    config, _ = model_of("lavida-llada")
    one, _ = encoded(sample("Red?", "No.", images=["a.png"], folder=tmp_path), SampleRule(), "lavida-llada")
    two, _ = encoded(sample("Same?", "No.", images=["a.png", "b.png"], folder=tmp_path), SampleRule(), "lavida-llada")
    (pixels, grid), *rest = one.views
    assert not rest and grid == grid_of(60, 20, config.vision, config.tiles) and len(pixels) == grid.n_views > 1
    assert [pixels.shape for pixels, _ in two.views] == [(1, 3, 28, 28)] * 2
    assert two.ids.tolist().count(IMAGE_ID) == 2 and two.length == len(two.ids) - 2 + 2 * (4 + 1)


def test_what_is_too_long_is_skipped_or_cut() -> None:
    one = sample("One?", "1", "Two?", "2" * 400)
    whole = encoded(one, SampleRule())[0]
    with pytest.raises(BrokenSample, match=f"{whole.length} tokens, and at most 300 are taken") as caught:
        encoded(one, SampleRule(), max_length=300)
    assert caught.value.kind == "too long"
    cut = encoded(one, SampleRule(cut=True), max_length=300)[0]
    assert cut.length == len(cut.ids) == 300 and cut.ids.tolist() == whole.ids[:300].tolist()
    with pytest.raises(BrokenSample, match="too long|tokens"):  # nothing of an answer is left
        encoded(one, SampleRule(cut=True), max_length=20)


def test_a_picture_is_never_cut_off(tmp_path: Path) -> None:
    gradient(56, 56).save(tmp_path / "a.png")
    one = sample("One?", "1", "<image>Two?", "2", images=["a.png"], folder=tmp_path)
    first = encoded(sample("One?", "1"), SampleRule(), "lavida-llada")[0].length
    with pytest.raises(BrokenSample, match="of pictures, and at most"):
        encoded(one, SampleRule(cut=True), "lavida-llada", max_length=first + 20)


def test_gaps_stand_between_words_and_their_ends_are_fixed() -> None:
    text = "a small cat sits on a red mat near the old door of a house"
    config, tokenizer = model_of("llada")
    empty, end = (tokenizer.id_of(token) for token in ("<|reserved_token_2|>", "<|reserved_token_1|>"))
    encode, seen = Encoder(config, tokenizer, SampleRule(gaps=1.0)), set()
    for seed in range(40):
        example = encode(sample("What?", text.replace(" on ", "\n on  ")), random.Random(seed))
        answer = example.ids[example.answer == 1].tolist()
        pieces = spelled(answer, tokenizer).removesuffix("<|eot_id|>")
        assert pieces.replace("<|reserved_token_2|>", "").replace(" <|reserved_token_1|> ", " ") == text
        assert example.ids[example.frozen].tolist() == [end] * answer.count(end)
        runs = [run.count("<|reserved_token_2|>") for run in pieces.split("<|reserved_token_1|>")]
        assert (
            1 <= answer.count(end) <= 5
            and runs[-1] == 0
            and max(runs) <= 5
            and empty not in example.ids[example.frozen]
        )
        seen.update(runs)
    assert seen == set(range(6))


def test_gaps_of_lavida_mini_leave_its_words_alone(photo: Path) -> None:
    tokenizer = tiny_tokenizer()
    words = "one red ball on the left"
    rule = SampleRule(gaps=1.0)
    example = Encoder(tiny_config(tokenizer), tokenizer, rule)(sample("What?", words), random.Random(1))
    gaps = {tokenizer.id_of("<|span|>"), tokenizer.id_of("<|fim|>")}
    kept = [i for i in example.ids[example.answer == 1].tolist() if i not in gaps]
    assert kept == [*tokenizer.encode(words), tokenizer.eos_id] and example.frozen.any()


def test_short_answers_have_no_gaps_and_some_long_ones_stay_whole() -> None:
    example, _ = encoded(sample("What?", "a small cat"), SampleRule(gaps=1.0))
    assert not example.frozen.any()
    long = sample("What?", "a cat sits on a mat")
    shares = [encoded(long, SampleRule(gaps=0.8), seed=seed)[0].frozen.any() for seed in range(60)]
    assert 0.6 < sum(map(bool, shares)) / 60 < 0.95


@pytest.mark.parametrize(
    ("name", "make", "kind", "words"),
    [
        ("missing.png", lambda path: None, "missing file", "missing.png: no such file"),
        ("text.png", lambda path: path.write_text("hello"), "broken picture", "not a picture"),
        ("folder", lambda path: path.mkdir(), "broken picture", "is a folder"),
    ],
)
def test_a_picture_that_cannot_be_used_breaks_its_sample(
    name: str, make: Any, kind: str, words: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(BrokenSample, match=words) as caught:
        encoded(sample("What?", "A cat.", images=[name], folder=tmp_path), SampleRule(), "lavida-llada")
    assert caught.value.kind == kind


def test_rules_and_models_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    config, tokenizer = model_of("dream")
    with pytest.raises(ConfigError, match="the family dream has no tokens for gaps"):
        Encoder(config, tokenizer, RULES["lavida-fim"])
    with pytest.raises(CheckpointError, match="has no token"):
        Encoder(config, letters("plain"))
    for wrong in ({"answers": "two"}, {"history": False}, {"gaps": 1.5}, {"end_padding": -1}):
        with pytest.raises(ConfigError):
            SampleRule(**wrong)
    with pytest.raises(ConfigError, match="unknown sample rule 'x'; choose one of dialogue"):
        find_rule("x")
