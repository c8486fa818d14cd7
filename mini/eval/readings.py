"""Held-out pictures as readings of `lavida.edit`: what the model has read before it judges or mends a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lavida.edit.reading import Reading
from lavida.image.tiles import grid_of
from lavida.text.chat import find_template
from lavida.text.prompt import question_ids
from mini.data.features import Truth
from mini.eval.answers import Reader, hints_of
from mini.eval.batch import encode_pictures


@torch.inference_mode()
def picture_reading(
    model: Reader, maps: Tensor, truth: Truth, question: str, *, length: int, prefix: Sequence[int] = ()
) -> Reading:
    """A question about the picture with trunk maps [V, 196, 80]; `prefix` is read as the beginning of the answer."""
    net = model.net
    seen = net.tower.features(maps[None].to(net.denoiser.embedding.weight))
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    held = encode_pictures(net, seen, grid, hints_of(model, [truth]))
    ids = _words(model, question, prefix)
    if held.cache is None:
        return _reading(model, [torch.cat((held.x, net.denoiser.embed(ids)), 1)], "none", length)
    return _reading(model, [], net.prefill([net.denoiser.embed(ids)], held.cache.fork()), length)


@torch.inference_mode()
def blind_reading(model: Reader, question: str, *, length: int) -> Reading:
    """The same question about nothing."""
    words = model.net.denoiser.embed(_words(model, question, ()))
    return _reading(model, [], model.net.prefill([words]), length)


def _words(model: Reader, question: str, prefix: Sequence[int]) -> Tensor:
    ids = [*question_ids(model.tokenizer, question), *prefix]
    return torch.tensor(ids, device=model.net.denoiser.embedding.weight.device)[None]


def _reading(model: Reader, segments: list[Tensor], cache: object, length: int) -> Reading:
    template = find_template(model.net.config.family)
    return Reading(
        net=model.net, tokenizer=model.tokenizer, template=template, segments=segments, cache=cache, length=length
    )
