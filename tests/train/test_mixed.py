"""The mixed objective: kinds of rows, their masks, a loss that may be divided, a run that goes on and draws."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import lavida
from lavida.api import Model
from lavida.cli.main import main
from lavida.data.codes import CodesEncoder
from lavida.data.collate import Batch, collate
from lavida.data.rules import RULES
from lavida.data.samples import BrokenSample, Sample
from lavida.data.sources import open_source
from lavida.errors import ConfigError
from lavida.text.codes import Layouts
from lavida.text.messages import Part, Turn
from lavida.train.finetune import Options
from lavida.train.launch import train
from lavida.train.mixed import DRAWN, SHOWN, TEXT, Mixed, MixedStep, draw_picture_masks, kinds_of
from lavida.train.recipes import RECIPES
from lavida.train.trainer import Habits

SIDE = 64  # 16 codes
MIXED = Mixed(weights=(1.0, 0.5, 0.1), rows=(7, 3, 2), side=SIDE)
QUICK = replace(
    RECIPES["mmada-images"], mixed=MIXED, batch=6, steps=3, warmup=0.0, max_length=120, rule=RULES["dialogue"]
)


@pytest.fixture(scope="module")
def model(random_folders: dict[str, Path]) -> Model:
    return lavida.load(random_folders["mmada"], dtype="float32", side=SIDE)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    Image.new("RGB", (80, 60), "red").save(folder / "a.png")
    rows = [{"image": "a.png", "caption": f"a red wall {i}"} for i in range(8)]
    rows += [{"image": "a.png", "question": "What colour?", "answer": f"red {i}"} for i in range(4)]
    rows += [{"question": "How are you?", "answer": f"well {i}"} for i in range(4)]
    rows += [{"text": f"The sea is wide, and a ship of {i} masts sails it."} for i in range(4)]
    (folder / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "set.jsonl"


def encoder(model: Model, drawn: float) -> CodesEncoder:
    return CodesEncoder(
        model.net.config, model.tokenizer, model.reader.images, RULES["dialogue"], max_length=120, drawn=drawn
    )


def batch_of(model: Model, data: Path, drawn: float = 1.0) -> Batch:
    source, encode = open_source(data), encoder(model, drawn)
    return collate([encode(source[i], random.Random(i)) for i in (0, 1, 8, 9, 12, 13)], pad_id=encode.pad_id)


def test_an_entry_becomes_a_row_of_its_kind(model: Model, data: Path) -> None:
    codes, batch = model.net.config.codes, batch_of(model, data)
    assert kinds_of(batch.ids, codes).tolist() == [DRAWN, DRAWN, SHOWN, SHOWN, TEXT, TEXT]
    inside = (batch.ids >= codes.first_id) & (batch.ids < codes.first_id + codes.count)
    assert inside.sum(-1).tolist() == [16, 16, 16, 16, 0, 0]
    assert (batch.answer > 0).sum(-1)[:2].tolist() == [18, 18]  # the picture and its two ends
    assert not ((batch.answer > 0) & inside)[2:].any()  # a picture that is shown is not learnt
    text = model.tokenizer.decode(i for i in batch.ids[0].tolist() if i not in (codes.draw_id,) and i < codes.first_id)
    assert "a red wall 0" in text
    assert kinds_of(batch_of(model, data, drawn=0.0).ids, codes)[:2].tolist() == [SHOWN, SHOWN]


def test_a_plain_text_is_learnt_whole(model: Model, data: Path) -> None:
    source, encode, codes = open_source(data), encoder(model, 0.0), model.net.config.codes
    examples = [encode(source[i], random.Random(i)) for i in (12, 16)]
    batch = collate(examples, pad_id=encode.pad_id, end_padding=0)
    words = model.tokenizer.encode("The sea is wide, and a ship of 0 masts sails it.")
    row = Layouts(codes=codes, end_id=encode.pad_id).text_row(words, batch.ids.shape[1])  # a golden case has its form
    assert batch.ids[1].tolist() == row.ids == row.labels and kinds_of(batch.ids, codes).tolist() == [TEXT, TEXT]
    assert (batch.answer[1] == 1).all() and (batch.answer[0] == 0).any()  # of a dialogue the answer alone
    encode.max_length = 9
    with pytest.raises(BrokenSample, match="at most 9 are taken"):
        encode(source[16], random.Random(0))
    encode.rule = replace(encode.rule, cut=True)
    assert encode(source[16], random.Random(0)).ids.tolist() == row.ids[:9]


def test_the_loss_of_a_plain_text_by_hand(model: Model, data: Path) -> None:
    """Sum of CE / p over the masked tokens, by the length of the row: LLaDA's bound, of every token of the text."""
    source, encode, step = open_source(data), encoder(model, 0.0), MixedStep(model.net, MIXED)
    batch = collate([encode(source[16], random.Random(0))], pad_id=encode.pad_id)
    targets = step.draw(batch, torch.Generator().manual_seed(2))
    (masked,), p, length = targets.masked[0], float(targets.p), batch.ids.shape[1]
    assert 0 < int(masked.sum()) < length and targets.lengths.tolist() == [length]
    with torch.no_grad():
        loss, _ = step(batch, targets)
        ids = batch.ids.masked_fill(masked, model.net.config.denoiser.mask_id)
        logits = model.net.denoiser.head(model.net.denoiser(model.net.denoiser.embed(ids)))[0]
    ce = -logits.log_softmax(-1)[torch.arange(length), batch.ids[0]]
    weight = 0.1 * sum(MIXED.rows) / MIXED.rows[2]  # as in a published batch, of which texts are two rows
    assert float(loss) == pytest.approx(weight * float(ce[masked].sum()) / (p * length), rel=1e-5)


def test_some_descriptions_are_left_out(model: Model, data: Path) -> None:
    source, encode = open_source(data), encoder(model, 1.0)
    lengths = {len(encode(source[0], random.Random(seed)).ids) for seed in range(60)}
    assert min(lengths) == 4 + 16 + 1 and len(lengths) == 2  # the others hold the words too


def test_what_cannot_be_encoded_is_named(model: Model) -> None:
    encode = encoder(model, 1.0)
    turns = lambda *pictures: (  # noqa: E731
        Turn(role="user", parts=(*pictures, Part(kind="text", value="What?"))),
        Turn(role="assistant", parts=(Part(kind="text", value="It."),)),
    )
    with pytest.raises(BrokenSample, match="no such file"):
        encode(Sample(name="a:0", turns=turns(Part(kind="image", value=Path("none.png")))), random.Random(0))


def test_masks_of_pictures_leave_their_ends_and_the_words(model: Model, data: Path) -> None:
    batch, step = batch_of(model, data), MixedStep(model.net, MIXED)
    codes = model.net.config.codes
    for seed in range(5):
        targets = step.draw(batch, torch.Generator().manual_seed(seed))
        (masked,) = targets.masked
        assert masked.any(-1).all() and not (masked & (batch.answer == 0)).any()
        assert ((batch.ids >= codes.first_id) | ~masked)[:2].all()
        assert targets.lengths[:2].tolist() == [16, 16]
        assert (masked[:2].sum(-1) == (targets.p[0, :2] * 16).round()).all()


def test_shares_of_masked_codes_follow_the_cosine() -> None:
    target = torch.ones(4000, 64, dtype=torch.bool)
    masked, shares = draw_picture_masks(target, torch.Generator().manual_seed(0))
    assert torch.equal(masked.sum(-1), (shares * 64).round().long()) and int(masked.sum(-1).min()) >= 1
    assert shares.mean() == pytest.approx(2 / torch.pi, abs=0.02)  # the mean of cos(pi u / 2)
    assert masked.float().mean(0).std() < 0.02  # places alike


def test_a_batch_may_be_divided(model: Model, data: Path) -> None:
    """The loss is the mean over rows, so micro-batches add up; a kind that is missing costs nothing."""
    batch, step = batch_of(model, data), MixedStep(model.net, MIXED)
    targets = step.draw(batch, torch.Generator().manual_seed(1))
    # masks of one number of codes, since the loss of pictures is a mean over all of them
    masked, p = targets.masked.clone(), targets.p.clone()
    masked[0, 1], p[0, 1] = batch.ids[1] == batch.ids[1], p[0, 0]
    codes = model.net.config.codes
    for row in (0, 1):
        inside = (batch.ids[row] >= codes.first_id) & (batch.ids[row] < codes.first_id + codes.count)
        masked[0, row] = inside & (inside.cumsum(-1) <= 5)
    targets = replace(targets, masked=masked, p=p)
    whole, _ = step(batch, targets)

    def part(rows: list[int]) -> float:
        tensors = {f: getattr(batch, f)[rows] for f in ("ids", "answer", "turn", "frozen", "real", "sample")}
        some = replace(batch, **tensors, views=[[] for _ in rows])
        loss, _ = step(some, replace(targets, masked=masked[:, rows], p=p[:, rows], lengths=targets.lengths[rows]))
        return float(loss.detach()) * len(rows)

    divided = (part([0, 2]) + part([1]) + part([3, 4, 5])) / 6
    assert divided == pytest.approx(float(whole.detach()), rel=1e-4)


def test_published_weights_in_a_published_batch() -> None:
    mixed = RECIPES["mmada-images"].mixed
    kinds = torch.tensor([DRAWN] * 7 + [SHOWN] * 3 + [TEXT] * 2)
    assert mixed.coefficients(kinds) == pytest.approx([1.0, 0.5, 0.1])
    assert mixed.coefficients(kinds[:7])[1:] == [0.0, 0.0]


def options(folder: Path, data: Path, out: Path, **more: object) -> Options:
    habits = Habits(log=1, save=1e9)
    return Options(
        model=str(folder), data=(str(data),), out=out,
        **{"micro": 3, "precision": "float32", "habits": habits, "held_out": 2, **more},
    )  # fmt: skip


def test_a_run_learns_and_what_comes_out_draws_and_answers(
    random_folders: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    quick = replace(QUICK, rates=replace(QUICK.rates, denoiser=1e-2), steps=8)
    assert train(quick, options(random_folders["mmada"], data, tmp_path / "run"), say=lambda line: None)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["event"] == "step"]
    assert sum(losses[-3:]) < sum(losses[:3])
    trained = lavida.load(tmp_path / "run" / "model", side=SIDE)
    (drawing,) = trained.draw("a red wall", size=SIDE, steps=2)
    assert drawing.image.size == (SIDE, SIDE)
    assert trained.ask(data.parent / "a.png", "What colour?", length=4).ids
    assert main(["inspect", str(tmp_path / "run" / "model")]) == 0


def test_other_recipes_take_pictures_as_codes_too(random_folders: dict[str, Path], data: Path, tmp_path: Path) -> None:
    plain = replace(RECIPES["finetune"], batch=4, steps=2, max_length=1200)
    given = options(random_folders["mmada"], data, tmp_path / "run", micro=2, held_out=0)
    assert train(plain, given, say=lambda line: None)


def test_what_does_not_fit_is_one_line(random_folders: dict[str, Path], data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the model's pictures are no tokens"):
        train(QUICK, options(random_folders["llada"], data, tmp_path / "a"), say=lambda line: None)
    with pytest.raises(ConfigError, match="give --workers 0"):
        train(QUICK, options(random_folders["mmada"], data, tmp_path / "b", workers=1), say=lambda line: None)
    with pytest.raises(ConfigError, match="a mixed objective has weights"):
        Mixed(weights=(0.0, 0.0, 0.0), rows=(1, 1, 1))
