"""Rows of natural questions, the tokens of a picture in training, and answers from a canvas."""

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

import lavida
from lavida.checkpoint.io import load_checkpoint
from lavida.evidence.gather import Parts
from lavida.image.tiles import views
from lavida.text.labels import load_labels
from lavida.text.reading import LOOKED
from lavida.text.tokenizer import Tokenizer
from mini.natural.feed import IMAGE_TOKENS, NaturalFeed
from mini.natural.held import answer_packed, held_out_rows, right_answers
from mini.natural.labelled import _stem
from mini.natural.photographs import LEFT_OUT, see
from mini.natural.phrases import CANNOT_TELL
from mini.natural.simulate import Simulator
from mini.natural.train import image_prefix, with_evidence

ASSETS = Path(lavida.__file__).parent / "assets"


@pytest.fixture(scope="module")
def model():
    vlm, _ = load_checkpoint(ASSETS / "mini", dtype=torch.float32)
    tokenizer, labels = Tokenizer.load(ASSETS / "mini"), load_labels(ASSETS / "mini")
    return with_evidence(vlm, labels, tokenizer, torch.Generator().manual_seed(0)).eval(), tokenizer, labels


@pytest.fixture(scope="module")
def feed(model):
    vlm, tokenizer, labels = model
    return NaturalFeed(
        tokenizer, labels, Simulator(vlm.tower.classifier.weight.detach()), scenes=None, photographs=None
    )


def test_tokens_in_training_are_those_of_an_answer(model):
    vlm, _, labels = model
    parts = Parts(tower=vlm.tower, vision=vlm.config.vision, labels=labels)
    picture = Image.open(ASSETS / "demo.jpg")
    cells, evidence = see(picture, vlm, parts)
    inputs = evidence.inputs(vlm.config.evidence.boxes)
    pixels, grid = views(picture, vlm.config.vision, vlm.config.tiles)
    with torch.no_grad():
        trained = image_prefix(vlm, cells[None], SimpleNamespace(inputs=inputs))
        tokens = vlm.image_tokens(vlm.tower(pixels), grid)[None]
        answered = vlm.with_evidence(tokens, inputs)
    assert trained.shape == (1, IMAGE_TOKENS, 384)
    assert torch.allclose(trained, answered, atol=1e-4)
    assert not torch.allclose(answered[:, -88:], tokens, atol=1e-2)  # the cat is in them


def test_rows_hold_questions_in_both_languages(feed, model):
    rows = feed.rows(3, random.Random(2), torch.Generator().manual_seed(2))
    assert rows.cells.shape == (3, 80, 384) and rows.batch.ids.shape == (3, 448) and rows.batch.questions > 15
    texts = [model[1].decode([i for i in row.tolist() if i != model[1].eos_id]) for row in rows.batch.ids]
    assert any("?" in t for t in texts) and any("，" in t or "。" in t or "吗" in t for t in texts)


def test_without_a_reader_nothing_is_said_about_text(feed, model):
    looked = model[1].id_of(LOOKED)
    for seed in range(60):
        rng = random.Random(seed)
        _, _, asked, tail, _ = feed._row(rng)
        said = [(q.answer, q.language) for q in asked if q.kind in ("text", "text_check")]
        if tail:
            assert tail[0] == looked
            assert not any(answer == CANNOT_TELL[language] for answer, language in said)
        else:
            assert all(answer == CANNOT_TELL[language] for answer, language in said)


def test_answers_fill_the_first_copy_only(feed, model):
    vlm, tokenizer, _ = model
    rows, kinds = held_out_rows(feed, 2, 3)
    part = rows[0]
    with torch.no_grad():
        image = image_prefix(vlm, part.cells, part)
    ids = answer_packed(vlm, part.batch, image, tokenizer.mask_id, steps=2)
    first = (part.batch.p > 0) & (part.batch.segment % 3 == 0)
    assert not (ids[first] == tokenizer.mask_id).any()
    assert torch.equal(ids[~first], part.batch.ids[~first])
    right, wrong = right_answers(vlm, tokenizer, rows, kinds, steps=1)
    assert sum(n for _, n in right.values()) == part.batch.questions == len(wrong) + sum(r for r, _ in right.values())
    assert all(kind.split()[0] in ("en", "zh") for kind in right)


def test_names_of_files_and_packages_left_out():
    assert _stem("gcompris-qt-data/explore/polarBear2.webp") == "polar bear"
    assert "opencv-doc" in LEFT_OUT and "foolbox" in LEFT_OUT
