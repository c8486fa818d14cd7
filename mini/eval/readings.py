"""Held-out pictures as prompts: read before the model judges or mends a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lavida.decode.prompt import Prompt
from lavida.image.tiles import grid_of
from lavida.text.chat import find_template
from lavida.text.prompt import question_ids
from mini.data.features import Truth
from mini.eval.answers import Reader, hints_of
from mini.eval.batch import encode_pictures, picture_prompt


@torch.inference_mode()
def picture_reading(model: Reader, maps: Tensor, truth: Truth, question: str, *, prefix: Sequence[int] = ()) -> Prompt:
    """Read a question about the picture with trunk maps [V, 196, 80]; `prefix` begins the answer."""
    net = model.net
    features = net.tower.features(maps[None].to(net.denoiser.embedding.weight))
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    (picture,) = encode_pictures(net, features, grid, hints_of(model, [truth]))
    prompt = picture_prompt(net, picture, [*question_ids(model.tokenizer, question), *prefix])
    prompt.tokenizer, prompt.template = model.tokenizer, find_template(net.config.family)
    return prompt
