"""Packed rows: every answer token is hidden in exactly one of two copies, and nobody sees what it must not."""

from __future__ import annotations

import random

import torch

from lavida.nn.attention import segment_mask
from lavida.text.labels import Label
from lavida.text.prompt import HINT_TOKENS, hint_ids
from mini.data.cells import GLOBAL, IMAGE_TOKENS, TILES, CellWords, cell_objects
from mini.data.questions import Question
from mini.data.scenes import Placed, Scene
from mini.train.packing import CANVAS_LENGTHS, Packer
from tests.tiny import tiny_tokenizer

CAT = Label(name="cat", kinds=("animal",))
QUESTIONS = [
    Question(kind="name", prompt="What is this?", answer="a cat"),
    Question(kind="presence", prompt="Is there a dog?", answer="no", names=("dog",)),
]


def packed(row=256, seed=0):
    tokenizer = tiny_tokenizer()
    packer = Packer(tokenizer, image_tokens=IMAGE_TOKENS, row=row)
    return tokenizer, packer.pack(
        [(hint_ids(tokenizer, CAT, 0.9), QUESTIONS)],
        random.Random(seed),
        torch.Generator().manual_seed(seed),
    )


def test_each_answer_token_is_masked_in_exactly_one_copy():
    tokenizer, batch = packed()
    assert batch.questions == 2
    answers = [s for s in batch.segment[0].unique().tolist() if s > 1 and s % 3 != 2]
    hidden = set(batch.masked[0].nonzero().flatten().tolist())
    for first, second in zip(answers[::2], answers[1::2], strict=True):
        a, b = ((batch.segment[0] == s).nonzero().flatten().tolist() for s in (first, second))
        assert len(a) == len(b) and len(a) in CANVAS_LENGTHS
        for i, j in zip(a, b, strict=True):
            assert (i in hidden) != (j in hidden)
            assert (batch.ids[0, i] == tokenizer.mask_id) == (i in hidden)
            assert batch.ids[0, j if i in hidden else i] == batch.targets[0, i] == batch.targets[0, j]
            assert batch.positions[0, i] == batch.positions[0, j]


def test_image_sees_itself_prompt_sees_image_answer_sees_both():
    _, batch = packed()
    segment, mask = batch.segment[0], segment_mask(batch.segment, batch.parent)[0, 0]

    def sees(a: int, b: int) -> bool:
        block = mask[segment == a][:, segment == b]
        assert block.all() or not block.any()
        return bool(block.all())

    assert sees(1, 1) and not sees(1, 2) and not sees(1, 3)
    assert sees(2, 1) and sees(2, 2) and not sees(2, 3) and not sees(2, 5)
    for answer in (3, 4):
        assert sees(answer, 1) and sees(answer, 2) and sees(answer, answer) and not sees(answer, 7 - answer)
        assert not sees(answer, 5) and not sees(answer, 6)


def test_what_does_not_fit_is_left_out_and_names_are_found():
    _, small = packed(row=IMAGE_TOKENS + HINT_TOKENS + 4)
    assert small.questions == 0 and not small.masked.any()
    tokenizer, batch = packed()
    assert [name for _, name in batch.names] == ["dog"]
    assert batch.ids.flatten()[batch.name_positions[0]] == tokenizer.encode("dog")[0]


def test_hint_has_always_the_same_length():
    tokenizer = tiny_tokenizer()
    labels = [Label(name=name, kinds=("thing",)) for name in ("cat", "a very long name of a thing")]
    assert {len(hint_ids(tokenizer, label, 0.1)) for label in labels} == {HINT_TOKENS}


def test_cells_show_the_topmost_object_and_small_ones_get_the_nearest_cell():
    def placed(name, x, y, side):
        return Placed(cutout=0, name=name, colour=None, x=x, y=y, w=side, h=side)

    cells = cell_objects(
        Scene(objects=(placed("cat", 0.5, 0.5, 1.0), placed("dog", 0.25, 0.25, 0.5)), background=-1), 4
    )
    assert [cells[r * 4 + c] for r, c in ((0, 0), (1, 1), (0, 2), (3, 3))] == [1, 1, 0, 0]
    cells = cell_objects(Scene(objects=(placed("cat", 0.97, 0.01, 0.001),), background=-1), 4)
    assert cells[3] == 0 and cells.count(-1) == 15
    words = CellWords(tiny_tokenizer())(Scene(objects=(placed("cat", 0.5, 0.5, 1.0),), background=-1))
    assert words.shape == (GLOBAL**2 + TILES**2, 3) and torch.equal(words[:, 1], torch.full((80,), -1))
    assert words[:, 2].nonzero()[:, 0].tolist() == [10, 16 + 4 * 8 + 4]  # the centre, in the global view and the map
