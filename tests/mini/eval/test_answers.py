"""The batched evaluator writes what the one loop writes; the tables have every figure; the card is whole."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import lavida
from lavida.decode.loop import Canvas
from lavida.decode.options import DecodeOptions
from lavida.errors import DataError, RequestError
from lavida.image.tiles import grid_of
from lavida.text.prompt import hint_ids, question_ids
from mini.data.questions import Question
from mini.eval import run as mini
from mini.eval.answers import Decoding, answer_pictures, answer_set, evaluate_quickly
from mini.eval.decode_batch import decode_batch, encode_pictures
from mini.eval.photos import evaluate_photos, mentions, presence_questions, read_photos
from mini.eval.sets import PictureQuestion, question_set
from tests.loops import answer_logits, denoise

from .fakes import LABELS, photo_list, tiny_features, tiny_model

ASSETS = Path(lavida.__file__).parent / "assets"


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.mark.parametrize(("length", "steps"), [(4, 4), (8, 3)])
def test_batches_equal_the_loop(model, length, steps):
    net, tokenizer = model.net, model.tokenizer
    with torch.no_grad():
        features = net.tower.features(tiny_features(3).maps)
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    hints = [hint_ids(tokenizer, LABELS[0], 0.9), [], hint_ids(tokenizer, LABELS[1], 0.1)]
    asked = [(i, question_ids(tokenizer, q)) for i in (2, 0, 1) for q in ("What is this?", "Is there a cat in it?")]
    rows, prompts = zip(*asked, strict=True)
    prefixes = encode_pictures(net, features, grid, hints)
    got = decode_batch(net, prefixes, rows, prompts, length=length, steps=steps)
    options = DecodeOptions(length=length, steps=steps)
    config = net.config.denoiser
    for (i, prompt), canvas in zip(asked, got, strict=True):
        with torch.no_grad():
            image = net.image_tokens(features[i], grid)
            hint, text = (net.denoiser.embed(torch.tensor(ids, dtype=torch.long)) for ids in (hints[i], prompt))
            logits_of = answer_logits(net, [torch.cat((image, hint))[None], text[None]])
            blank = Canvas.blank(length, config.mask_id)
            *_, last = denoise(logits_of, blank, options, mask_id=config.mask_id, eos_ids=config.eos_ids)
        assert last.canvas.tolist() == canvas
    assert len({tuple(c) for c in got}) > 1


def test_an_end_token_finishes_a_row(model):
    net, tokenizer = model.net, model.tokenizer
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    with torch.no_grad():
        saved = net.denoiser.embedding.weight[tokenizer.eos_id].clone()
        net.denoiser.norm.weight.zero_()  # all logits equal: the lowest id, the end token, wins everywhere
        prefixes = encode_pictures(net, net.tower.features(tiny_features(1).maps), grid, [[]])
        assert decode_batch(net, prefixes, [0], [[5]], length=4) == [[tokenizer.eos_id] * 4]
        net.denoiser.norm.weight.fill_(1)
    assert torch.equal(saved, net.denoiser.embedding.weight[tokenizer.eos_id])


def test_too_long_a_canvas(model):
    grid = grid_of(448, 448, model.net.config.vision, model.net.config.tiles)
    with torch.no_grad():
        prefixes = encode_pictures(model.net, model.net.tower.features(tiny_features(1).maps), grid, [[]])
    with pytest.raises(RequestError, match="holds"):
        decode_batch(model.net, prefixes, [0], [[5]], length=500)


def test_hints_change_what_is_read(model):
    features = tiny_features(12)
    flat = [a for asked in question_set([t.scene for t in features.records], 12, 0).values() for a in asked]
    answers = [
        answer_set(model, features.maps, features.records, flat, Decoding(short=8, hints=hints, caption=8))
        for hints in (True, False)
    ]
    assert answers[0] != answers[1] and len(answers[0]) == len(flat)


def test_quick_has_every_kind(model):
    table = evaluate_quickly(model, tiny_features(12), 12, decoding=Decoding(caption=8))
    assert table["caption"]["n"] == 12 and set(table["caption"]) > {"cider", "noun_recall", "noun_precision"}
    assert all(0 <= t["accuracy"] <= 1 for t in table.values() if t.get("n"))


def test_results_and_card(model, tmp_path):
    splits = {"i": tiny_features(24, 1), "ii_style": tiny_features(16, 2)}
    results = mini.evaluate(model, [tiny_features(40, 0)], splits, decoding=Decoding(caption=8), log=lambda _: None)
    naming = results["splits"]["i"]["kinds"]["name"]
    assert naming["probe_global"] == naming["probe_views"] == 1.0
    assert naming["neighbour"] > 0.5
    photos = read_photos(photo_list(tmp_path))
    one = tiny_features(1)
    results["photos"] = evaluate_photos(model, photos, one.maps, one.records)
    results["examples"] = mini.pick_examples(results, 0, 9)  # three a split, but there is one photograph
    mini.write_results(results, tmp_path / "out")
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    for part in ("## Goals", "unseen style", "| presence |", "CIDEr-D", "x.jpg", "7 held-out answers"):
        assert part in card
    held = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "answers" not in held["splits"]["i"] and held["photos"]["n"] == 1
    assert held["photos"]["presence"]["n"] == 2 and "something is in a photograph" in card


def test_results_and_card_in_chinese(model, tmp_path, monkeypatch):
    monkeypatch.setattr(mini, "PER_KIND", 3)
    decoding, photos = Decoding(caption=4), read_photos(photo_list(tmp_path), "zh")
    splits, quiet = {"i": tiny_features(6, 1)}, lambda _: None
    results = mini.evaluate(model, [tiny_features(12)], splits, decoding=decoding, language="zh", log=quiet)
    rows = results["splits"]["i"]["answers"]
    assert {r["kind"] for r in rows} >= {"name", "caption", "presence"} and not any(r["truth"].isascii() for r in rows)
    one = tiny_features(1)
    results["photos"] = evaluate_photos(model, photos, one.maps, one.records, "zh")
    results["examples"] = mini.pick_examples(results, 0, 4)
    mini.write_results(results, tmp_path)
    card = (tmp_path / "MODEL_CARD.zh.md").read_text(encoding="utf-8")
    assert "in Chinese." in card and "\u63cf\u8ff0\u8fd9\u5f20\u56fe\u7247" in card  # "describe this picture"
    assert json.loads((tmp_path / "results.zh.json").read_text())["language"] == "zh"
    with pytest.raises(RequestError, match="choose one of en, zh"):
        mini.main(None, tmp_path, tmp_path, language="fr")


def test_mentions_whole_words_only():
    assert mentions("a photo of a big cat.", ["big cat"]) and mentions("Cat!", ["cat"])
    assert not mentions("a caterpillar", ["cat"])
    assert mentions("照片里是一只暹罗猫。", ["猫"]) and not mentions("照片里是狗。", ["猫"])


def test_every_photograph_has_chinese_names():
    photos = read_photos(mini.PHOTOS), read_photos(mini.PHOTOS, "zh")
    assert [p.file for p in photos[0]] == [p.file for p in photos[1]] and all(p.names for p in photos[1])


def test_presence_is_asked_of_what_is_there_and_what_is_not():
    photos = read_photos(mini.PHOTOS)
    for language, yes in (("en", "yes"), ("zh", "有")):
        asked = presence_questions(photos, 0, language)
        there = [one for one in asked if one.question.answer == yes]
        assert len(asked) > 40 and len(there) * 2 == len(asked)
    cat = [one.question for one in presence_questions(photos, 0) if photos[one.picture].file == "chelsea.jpg"]
    assert [q.prompt for q in cat if q.answer == "yes"] == ["Is there a cat?"] and len(cat) == 2
    assert presence_questions(photos, 0) == presence_questions(photos, 0) != presence_questions(photos, 1)


def test_broken_photo_list(tmp_path):
    (tmp_path / "p.json").write_text("[{}]")
    with pytest.raises(DataError, match="restore"):
        read_photos(tmp_path / "p.json")


def test_pictures_are_answered_about_as_the_model_is_asked():
    shipped = lavida.load()
    picture = Image.open(ASSETS / "demo.jpg").convert("RGB")
    blank = Image.new("RGB", (64, 64), "white")
    asked = [
        PictureQuestion(picture=i, question=Question(kind=kind, prompt=prompt, answer="", language="en"))
        for i, kind, prompt in (
            (1, "name", "What is this?"),
            (0, "caption", "Describe the image."),
            (1, "count", "How many?"),
        )
    ]
    decoding = Decoding(short=4, caption=8)
    said = answer_pictures(shipped, [blank, picture], asked, decoding)
    wanted = [
        shipped.ask(
            [blank, picture][a.picture], a.question.prompt, length=decoding.length(a.question.kind),
            steps=decoding.length(a.question.kind), schedule="shift",
        ).text
        for a in asked
    ]  # fmt: skip
    assert said == wanted and all(said)
