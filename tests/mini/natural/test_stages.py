"""Rows of the third stages: the same questions with and without chains, gaps that end in a token nobody predicts."""

import json
import random
from pathlib import Path

import pytest
import torch

import lavida
from lavida.checkpoint.io import load_checkpoint
from lavida.errors import DataError
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.labels import load_labels
from lavida.text.tokenizer import FIM, SPAN, Tokenizer
from mini.data.reasoning import WEIGHTS
from mini.data.scenes import Scene
from mini.data.worlds import SceneSampler
from mini.natural.documents import SeenDocuments
from mini.natural.photographs import Seen
from mini.natural.simulate import Simulator
from mini.natural.stages import CANVAS, has_pair, make_feed
from mini.natural.train import train_stage

MINI = Path(lavida.__file__).parent / "assets" / "mini"


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    vlm, _ = load_checkpoint(MINI, dtype=torch.float32)
    return Simulator(vlm.tower.classifier.weight.detach())


def seen_of(scenes: list[Scene | None], simulator: Simulator) -> Seen:
    """Scenes with the evidence of other pictures."""
    rng = random.Random(0)
    return Seen(
        cells=torch.randn(len(scenes), 80, 384, generator=torch.Generator().manual_seed(0)),
        inputs=EvidenceInputs.stack([simulator(rng).inputs for _ in scenes]),
        boxes=[[] for _ in scenes], scenes=scenes, sources=["" for _ in scenes],
    )  # fmt: skip


def documents(simulator: Simulator) -> SeenDocuments:
    """Two labels, of which the reader read all."""
    values = [{"product": "Fresh Tea", "price": "3.20"}, {"product": "Dried Beans", "price": "14.05"}]
    places = ((0.1, 0.1, 0.5, 0.2), (0.2, 0.6, 0.8, 0.8))
    return SeenDocuments(
        seen=seen_of([None, None], simulator),
        texts=[list(zip(own.values(), places, strict=True)) for own in values],
        kinds=["label", "label"],
        values=values,
    )


@pytest.fixture(scope="module")
def scenes(simulator: Simulator) -> Seen:
    world, rng = SceneSampler.symbolic(), random.Random(4)
    return seen_of([world.scene(rng, WEIGHTS) for _ in range(24)], simulator)


def feed_of(stage: str, scenes: Seen, simulator: Simulator):
    return make_feed(stage, Tokenizer.load(MINI), load_labels(MINI) or [], simulator, scenes)


def texts(rows, tokenizer: Tokenizer, rest: int) -> list[str]:
    """The prompts (2) or the targets of the first (0) or second copies (1) of all rows."""
    batch, found = rows.batch, []
    ids = batch.ids if rest == 2 else batch.targets
    for row, segments in zip(ids, batch.segment, strict=True):
        own = sorted({int(s) for s in segments if s > 1 and s % 3 == rest})
        found += [tokenizer.decode(row[segments == s].tolist()) for s in own]
    return found


def test_both_arms_see_the_same_pictures_and_questions(scenes: Seen, simulator: Simulator) -> None:
    rngs = {stage: random.Random(7) for stage in CANVAS}
    feeds, tokenizer = {stage: feed_of(stage, scenes, simulator) for stage in CANVAS}, Tokenizer.load(MINI)
    for step in range(3):  # though answers of other lengths take other numbers
        found = {s: feed.rows(3, rngs[s], torch.Generator().manual_seed(step)) for s, feed in feeds.items()}
        chains, answers = found["reason"], found["direct"]
        assert chains.batch.questions == answers.batch.questions == 3 * 5  # all of them fit
        assert torch.equal(chains.cells, answers.cells) and torch.equal(chains.inputs.shares, answers.inputs.shares)
        assert texts(chains, tokenizer, 2) == texts(answers, tokenizer, 2)
        for chain, answer in zip(texts(chains, tokenizer, 0), texts(answers, tokenizer, 0), strict=True):
            assert chain.endswith(f". answer: {answer}") and chain.count(".") == 2
        assert len(set(texts(chains, tokenizer, 2))) > 5


def test_every_answer_has_a_canvas_of_one_length(scenes: Seen, simulator: Simulator) -> None:
    for stage, length in CANVAS.items():
        batch = feed_of(stage, scenes, simulator).rows(2, random.Random(1), torch.Generator().manual_seed(1)).batch
        answers = batch.segment[(batch.segment > 1) & (batch.segment % 3 != 2)]
        assert set(torch.bincount(answers).tolist()) <= {0, 2 * length}


def test_scenes_without_a_trained_pair_are_left_out_or_refused(simulator: Simulator) -> None:
    world, rng = SceneSampler.symbolic(), random.Random(4)
    lonely = [world.scene(rng, (1,)) for _ in range(2)]
    assert not any(map(has_pair, lonely))
    with pytest.raises(DataError, match="take more scenes"):
        feed_of("reason", seen_of(lonely, simulator), simulator)


def test_the_end_of_a_gap_is_neither_masked_nor_predicted(scenes: Seen, simulator: Simulator) -> None:
    feed, tokenizer = feed_of("fim", scenes, simulator), Tokenizer.load(MINI)
    batch = feed.rows(8, random.Random(3), torch.Generator().manual_seed(3)).batch
    answers = batch.p > 0
    end, empty = (answers & (batch.targets == tokenizer.id_of(token)) for token in (FIM, SPAN))
    assert end.sum() > 20 and empty.sum() > 20
    assert not batch.masked[end].any() and bool((batch.ids[end] == tokenizer.id_of(FIM)).all())
    both = batch.masked[answers & ~end]
    assert both.sum() * 2 == both.numel()  # all other tokens in exactly one of the two copies
    said = texts(type("Rows", (), {"batch": batch}), tokenizer, 0)
    assert any(" and " in text and text.endswith(".") for text in said)  # captions, whole again without the tokens


def test_forms_are_asked_as_extraction_asks_and_copied_from_the_text(simulator: Simulator) -> None:
    tokenizer = Tokenizer.load(MINI)
    for stage in ("copy", "documents"):
        feed = feed_of(stage, documents(simulator), simulator)
        rows = feed.rows(8, random.Random(2), torch.Generator().manual_seed(2))
        asked, said = texts(rows, tokenizer, 2), texts(rows, tokenizer, 0)
        forms = [(q, json.loads(a)) for q, a in zip(asked, said, strict=True) if q.startswith("Read the")]
        assert len(forms) > 8 and all(f"JSON: {', '.join(a)}." in q for q, a in forms)
        row, place, source = rows.copies.unbind(1)
        assert len(row) > 50 and torch.equal(rows.batch.targets[row, place], rows.batch.ids[row, source])
        assert (rows.cells.shape[1] == 0) == (stage == "copy") and (len(forms) == len(asked)) == (stage == "copy")


@pytest.mark.slow
def test_a_stage_leaves_a_model_that_answers(scenes: Seen, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for _ in range(2):  # the second time there is nothing left to train
        train_stage(MINI, out, "direct", scenes, steps=1, rows=1, rate=1e-4, seed=0, say=lambda line: None)
    assert (out / "model" / "detector.safetensors").exists() and not (out / "model" / "confidence.json").exists()
    answer = lavida.load(out / "model", threads=1).ask(MINI.parent / "demo.jpg", "What is this?", length=4)
    assert answer.text
