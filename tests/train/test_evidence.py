"""A model that is told evidence when it answers is told the same in training, and keeps its parts."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

import lavida
from lavida.api import Model
from lavida.config import EvidenceConfig
from lavida.data.collate import Batch, collate
from lavida.data.encode import Encoder
from lavida.data.samples import Sample
from lavida.decode.confidence import ConfidenceCurve
from lavida.decode.image_encoder import first_guess
from lavida.evidence.gather import DETECTOR
from lavida.text.messages import IMAGE_ID, Part, Turn, question_turns
from lavida.text.names import Name, save_names
from lavida.text.things import COCO
from lavida.train.evidence import TrainingEvidence
from lavida.train.launch import train
from lavida.train.step import splice_batch
from tests.decode.test_prompt import folder_of
from tests.pictures import gradient
from tests.tiny import LABELS
from tests.train.test_few_steps import FEW, few
from tests.train.test_finetune import QUICK, entry, options, quiet, write_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    save_names([Name(words=("cat", "dog"), classes=(3, 5), things=(1,))], path)
    return folder_of(path, EvidenceConfig(classes=len(LABELS), things=len(COCO), boxes=3, names=1))


def spliced(model: Model, picture: Image.Image | None, question: str, answer: str, *, told: bool = True):
    """Return the batch of one dialogue, and its embeddings [T', D] with their places."""
    shown = [] if picture is None else [Part(kind="image", value=_bytes(picture))]
    turns = (*question_turns(question, shown), Turn(role="assistant", parts=(Part(kind="text", value=answer),)))
    encode = Encoder(model.net.config, model.tokenizer)
    batch: Batch = collate([encode(Sample(name="x:0", turns=turns), random.Random(0))], pad_id=0)
    evidence = TrainingEvidence(model.reader) if told else None
    at = splice_batch(model.net, batch, partial(first_guess, model.tokenizer, model.labels), evidence)
    return batch, at


def _bytes(picture: Image.Image) -> bytes:
    import io

    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("question", ["Is the dog a cat?", "What is this?"])
def test_a_prompt_has_the_embeddings_that_it_has_when_it_is_asked(question: str, folder: Path) -> None:
    model, picture = lavida.load(folder), gradient(120, 90)
    with torch.no_grad():
        _, at = spliced(model, picture, question, "a dog")
        prompt = torch.cat(model.read(picture, question, cache="none").segments, 1)
    assert prompt.shape[1] > 88 + 8 + 5  # image tokens, hint, evidence
    assert torch.allclose(at.x[:, : prompt.shape[1]], prompt, atol=1e-5)
    with torch.no_grad():
        _, bare = spliced(model, picture, question, "a dog", told=False)
    assert bare.x.shape[1] < at.x.shape[1]


def test_names_in_an_answer_that_is_learnt_are_told_nothing(folder: Path) -> None:
    model = lavida.load(folder)
    with torch.no_grad():
        batch, at = spliced(model, gradient(), "What is this?", "a dog and a cat")
    answer = at.gather(batch.answer)[0] > 0
    plain = model.net.denoiser.embed(at.gather(batch.ids).clamp(min=0))
    assert answer.any() and torch.equal(at.x[0, answer], plain[0, answer])
    asked = (at.gather(batch.ids)[0] != IMAGE_ID) & ~answer
    assert not torch.equal(at.x[0, asked], plain[0, asked])  # the user's turn is told what the picture shows


def test_each_picture_is_looked_through_once_and_words_alone_need_none(folder: Path, monkeypatch) -> None:
    model = lavida.load(folder)
    looked: list[int] = []
    find = model.reader.images.find_evidence
    monkeypatch.setattr(model.reader.images, "find_evidence", lambda *a: (looked.append(1), find(*a))[1])
    evidence = TrainingEvidence(model.reader)
    batch, _ = spliced(model, gradient(), "What is this?", "a dog", told=False)
    for _ in range(3):
        assert evidence.of(batch)[0][0] is not None
    assert looked == [1]
    with torch.no_grad():
        spliced(model, None, "What is a dog?", "a cat")


def test_a_run_learns_with_evidence_and_keeps_the_files_of_the_parts(folder: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
    assert train(replace(QUICK, steps=1), options(folder, data, tmp_path / "tuned"), say=quiet)
    before, after = (lavida.load(path).net.state_dict() for path in (folder, tmp_path / "tuned" / "model"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("evidence") for name in changed)
    (folder / "calibration.json").write_text("{}")
    try:
        assert train(replace(FEW, steps=1), few(folder, data, tmp_path / "few"), say=quiet)
    finally:
        (folder / "calibration.json").unlink()
    assert (tmp_path / "few" / "model" / "names.json").is_file()
    assert not (tmp_path / "few" / "model" / "calibration.json").exists()  # measured of the model before


def test_the_detector_goes_with_the_model(folder: Path, tmp_path: Path, monkeypatch) -> None:
    from lavida.evidence import gather

    monkeypatch.setattr(gather, "Detector", lambda path, dtype: lambda picture: [])
    (folder / DETECTOR).write_bytes(b"weights")
    ConfidenceCurve(slope=1.0, offset=0.0, questions=9, error=0.1).save(folder)
    try:
        data = write_set(tmp_path / "data", [entry(i) for i in range(8)])
        assert train(replace(QUICK, steps=1), options(folder, data, tmp_path / "run"), say=quiet)
    finally:
        (folder / DETECTOR).unlink()
        (folder / "confidence.json").unlink()
    assert (tmp_path / "run" / "model" / DETECTOR).read_bytes() == b"weights"
    assert not (tmp_path / "run" / "model" / "confidence.json").exists()  # measured of the model before
