"""Answers made many at a time are those of one at a time, whatever sees what."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lavida.decode.driver import answer_steps
from lavida.decode.options import DecodeOptions
from lavida.errors import RequestError
from lavida.image.tiles import grid_of
from lavida.text.prompt import hint_ids, question_ids
from mini.eval.decode_batch import decode_batch, encode_pictures

from .fakes import LABELS, tiny_features, tiny_model

KINDS = {
    "prefix": ({}, {"shared_image": True}, {"cache": "prefix"}),
    "full": ({}, {"shared_image": False}, {"cache": "none"}),
    "ar": ({"autoregressive": True, "logit_shift": True}, {"shared_image": True}, {"block": 1}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_batches_equal_single_answers(kind):
    denoiser, whole, options = KINDS[kind]
    model = tiny_model()
    net, tokenizer = model.net, model.tokenizer
    net.config = replace(net.config, denoiser=replace(net.config.denoiser, **denoiser), **whole)
    net.denoiser.config = net.config.denoiser
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    hints = [hint_ids(tokenizer, LABELS[0], 0.9), [], hint_ids(tokenizer, LABELS[1], 0.1)]
    asked = [(i, question_ids(tokenizer, q)) for i in (2, 0, 1) for q in ("What is this?", "Is there a cat in it?")]
    rows, prompts = zip(*asked, strict=True)
    with torch.inference_mode():
        features = net.tower.features(tiny_features(3).maps)
        got = decode_batch(net, encode_pictures(net, features, grid, hints), rows, prompts, length=6)
        for (i, prompt), canvas in zip(asked, got, strict=True):
            image, hint = net.image_tokens(features[i], grid), net.denoiser.embed(torch.tensor(hints[i]).long())
            pieces = [torch.cat((image, hint))[None], net.denoiser.embed(torch.tensor(prompt))[None]]
            *_, last = answer_steps(net, pieces, DecodeOptions(length=6, **options))
            assert last.canvas.tolist() == canvas
    assert len({tuple(c) for c in got}) > 1
    if kind == "ar":
        with pytest.raises(RequestError, match="leave out steps"):
            decode_batch(net, encode_pictures(net, features, grid, hints), rows, prompts, length=6, steps=2)


def test_pictures_of_a_model_with_full_attention_have_no_keys():
    model = tiny_model()
    model.net.config = replace(model.net.config, shared_image=False)
    grid = grid_of(448, 448, model.net.config.vision, model.net.config.tiles)
    with torch.inference_mode():
        held = encode_pictures(model.net, model.net.tower.features(tiny_features(2).maps), grid, [[], [3]])
    assert [(one.cache, one.x.shape[1]) for one in held] == [(None, 88), (None, 89)]
