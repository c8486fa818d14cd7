"""Prompts: images are encoded once, evidence enters where a model has a place for it, and the answer tells of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import lavida
from lavida.api import Model
from lavida.checkpoint.io import save_checkpoint
from lavida.config import EvidenceConfig
from lavida.decode.driver import Job
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.decode.request import Request, make_request, turns_of
from lavida.errors import RequestError
from lavida.image.tiles import views
from lavida.text.labels import save_labels
from lavida.text.things import COCO
from tests.pictures import gradient
from tests.tiny import LABELS, tiny_config, tiny_net, tiny_tokenizer

QUESTION = "What is this?"


def folder_of(path: Path, evidence: EvidenceConfig | None) -> Path:
    tokenizer = tiny_tokenizer()
    net = tiny_net(replace(tiny_config(tokenizer), evidence=evidence))
    with torch.no_grad():
        if net.evidence is not None:
            for p in net.evidence.parameters():
                p.normal_(0.0, 0.2, generator=torch.Generator().manual_seed(p.numel()))
    save_checkpoint(net, path)
    tokenizer.save(path)
    save_labels(LABELS, path)
    return path


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Model:
    config = EvidenceConfig(classes=len(LABELS), things=len(COCO), boxes=3)
    return lavida.load(folder_of(tmp_path_factory.mktemp("evidence"), config))


def test_evidence_stands_before_the_image_and_is_told_with_the_answer(seeing: Model) -> None:
    config = seeing.net.config
    assert config.tiles is not None
    picture = gradient(120, 90)
    with torch.inference_mode():
        encoded = seeing.reader.images.encode(picture, config.tiles)
    plain = 88 + 8  # image tokens and the hint
    assert encoded.evidence is not None and len(encoded.tokens) == 2 + 3 + plain
    answer = seeing.ask(picture, QUESTION, length=4)
    (told,) = answer.evidence
    assert {"names", "boxes", "monochrome", "brightness", "texts"} <= set(told) and len(told["names"]) == 3
    assert seeing.ask(None, QUESTION, length=4).evidence == ()


def test_views_without_their_picture_have_no_evidence(seeing: Model) -> None:
    config = seeing.net.config
    assert config.vision is not None
    with torch.inference_mode():
        encoded = seeing.reader.images.encode_views(*views(gradient(), config.vision, config.tiles), config.tiles)
    assert encoded.evidence is None and len(encoded.tokens) == 88 + 8


def test_a_picture_that_was_seen_is_not_cut_again_and_one_that_differs_is(
    seeing: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lavida.decode import image_encoder

    cut = []
    monkeypatch.setattr(image_encoder, "views", lambda *a: (cut.append(1), views(*a))[1])
    tiles, picture = seeing.net.config.tiles, gradient(400, 300)
    assert tiles is not None
    other = picture.copy()
    other.putpixel((3, 5), (1, 2, 3))
    with torch.inference_mode():
        first, again, third = (seeing.reader.images.encode(p, tiles) for p in (picture, picture.copy(), other))
    assert len(cut) == 2 and again.held and again.key == first.key and torch.equal(again.tokens, first.tokens)
    assert third.key != first.key and not third.held


def test_a_model_without_a_place_for_it_looks_for_no_evidence(tmp_path: Path) -> None:
    model = lavida.load(folder_of(tmp_path, None))
    assert model.ask(gradient(), QUESTION, length=4).evidence == ()


def test_a_prompt_without_a_tokenizer_says_so() -> None:
    tokenizer = tiny_tokenizer()
    net = tiny_net(tiny_config(tokenizer))
    prompt = Prompt.of(net, net.segments(torch.tensor([5, 6]), []))
    with pytest.raises(RequestError, match="Model.read"):
        _ = prompt.unwritable


def test_the_same_image_is_encoded_once_and_a_job_keeps_its_prompt(seeing: Model) -> None:
    picture: Image.Image = gradient(70, 70)
    seeing.forget()
    first = seeing.read(picture, QUESTION)
    again = seeing.read(picture.copy(), "Another?")
    assert first.images[0].tokens is again.images[0].tokens
    assert [prompt.images[0].held for prompt in (first, again)] == [False, True]
    image = len(first.images[0].tokens)
    assert first.length > image and (first.cached, again.cached) == (0, image)
    once_more = seeing.read(picture, QUESTION, cache="prefix")
    assert once_more.length == first.length
    job = Job(seeing.net, DecodeOptions(length=4), lambda: first)
    assert callable(job.prompt) and job.context is job.context and job.prompt is first


@pytest.mark.parametrize("shapes", [[], [(40, 40)], [(300, 70), (30, 200), (64, 64)]])
def test_no_prompt_takes_more_tokens_than_a_request_says(
    shapes: list[tuple[int, int]], random_folders: dict[str, Path], seeing: Model
) -> None:
    models = [seeing, *(lavida.load(folder) for folder in random_folders.values())]
    asked = 0
    for model in models:
        if shapes and model.net.config.vision is None:
            continue
        request = make_request(model.reader, turns_of([gradient(*shape) for shape in shapes], QUESTION), {"length": 4})
        prompt = read_prompt_of(request)
        assert prompt.length + 4 <= request.tokens <= 3 * (prompt.length + 4) + 400
        asked += 1
    assert asked >= 4


def read_prompt_of(request: Request) -> Prompt:
    with torch.inference_mode():
        _ = request.job.context  # which reads it
    assert isinstance(request.job.prompt, Prompt)
    return request.job.prompt
