"""Test that what is copied is found in the read text, and that the guided heads' loss falls where they look there."""

import random
from pathlib import Path

import pytest
import torch

import lavida
from lavida.checkpoint.io import load_checkpoint
from lavida.text.reading import DOCUMENTS, read_ids
from lavida.text.tokenizer import Tokenizer
from mini.data.questions import Question
from mini.natural.copying import GUIDED, CopyFinder, Guide
from mini.train.losses import packed_loss
from mini.train.packing import PackedRows, Packer

MINI = Path(lavida.__file__).parent / "assets" / "mini"
TEXTS = [("Blue Market", (0.1, 0.1, 0.6, 0.2)), ("Seat 12C", (0.1, 0.5, 0.5, 0.6)), ("12", (0.1, 0.8, 0.2, 0.9))]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(MINI)


def packed(tokenizer: Tokenizer, answer: str) -> PackedRows:
    asked = Question(kind="document", prompt="Read the ticket as JSON.", answer=answer)
    packer = Packer(tokenizer, image_tokens=0, row=192)
    g = torch.Generator().manual_seed(0)
    return packer.pack([(read_ids(tokenizer, TEXTS, DOCUMENTS), [asked])], random.Random(0), g)


def test_every_masked_token_of_a_value_is_found_once(tokenizer: Tokenizer) -> None:
    batch = packed(tokenizer, '{"shop": "Blue Market", "seat": "12C", "number": "12", "other": "Red Market"}')
    found = CopyFinder(tokenizer)(batch)
    row, place, source = found.unbind(1)
    assert bool(batch.masked[row, place].all()) and torch.equal(batch.targets[row, place], batch.ids[row, source])
    copied = tokenizer.encode('"Blue Market"')[1:-1] + tokenizer.encode('"12C"')[1:-1] + tokenizer.encode('"12"')[1:-1]
    assert sorted(batch.targets[row, place].tolist()) == sorted(copied)  # one of the two copies masks each
    number = tokenizer.encode("12")[-2:]
    last = [s for p, s in zip(place.tolist(), source.tolist()) if batch.ids[0, s] == number[0]]
    assert len(set(last)) == 2  # "12" between quotes is not that of "12C"


def test_the_guide_watches_the_attention_of_a_forward_pass(tokenizer: Tokenizer) -> None:
    vlm, _ = load_checkpoint(MINI, dtype=torch.float32)
    batch = packed(tokenizer, '{"shop": "Blue Market", "seat": "12C"}')
    copies, denoiser = CopyFinder(tokenizer)(batch), vlm.denoiser.train()
    guide = Guide(denoiser)
    layers = {layer: [head for other, head in GUIDED if other == layer] for layer, _ in GUIDED}
    weights = [denoiser.blocks[layer].attn.q.weight for layer in layers]
    optimizer = torch.optim.AdamW(weights, lr=3e-3)
    losses = []
    for _ in range(6):
        with guide.watching():
            packed_loss(denoiser, batch, torch.zeros(1, 0, vlm.config.denoiser.d_model))
            losses.append(guide.loss(copies))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    last = max(layers)  # to whose queries nothing else leads
    gradient = denoiser.blocks[last].attn.q.weight.grad.unflatten(0, (6, 64))
    assert [bool(own.any()) for own in gradient] == [head in layers[last] for head in range(6)]
