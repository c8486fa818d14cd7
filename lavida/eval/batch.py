"""Many answers at once: the loop of `decode.loop` in lockstep over rows, without its events.

Pictures are encoded once each and their keys shared by all questions about them, exact under the Prefix-DLM mask. The
answers are those of `decode.loop.denoise` at temperature 0 (a test holds the two together).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.decode.select import confidence, propose
from lavida.diffusion.schedule import DEFAULT_SHIFT, unmask_counts
from lavida.errors import ConfigError, RequestError
from lavida.image.tiles import Grid
from lavida.model.vlm import VLM

_ROOM = 768  # canvas tokens in one batch: what the float64 probabilities of a whole vocabulary leave room for


@dataclass(frozen=True, kw_only=True)
class Prefixes:
    """Keys of several pictures or prompts, padded on the right."""

    cache: PrefixCache
    real: Tensor  # [G, P] False = padding
    length: Tensor  # [G] the position of what comes next

    def select(self, rows: Tensor) -> Prefixes:
        return Prefixes(cache=self.cache.select(rows), real=self.real[rows], length=self.length[rows])


def _padded(pieces: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Ids [n, longest] and which of them are real."""
    real = torch.zeros(len(pieces), max(map(len, pieces), default=0), dtype=torch.bool)
    ids = torch.zeros(real.shape, dtype=torch.long)
    for i, piece in enumerate(pieces):
        ids[i, : len(piece)], real[i, : len(piece)] = torch.tensor(piece, dtype=torch.long), True
    return ids, real


@torch.inference_mode()
def encode_pictures(net: VLM, features: Tensor, grid: Grid, hints: Sequence[list[int]]) -> Prefixes:
    """Prefixes of tower features [G, V, n, C], each with the ids of its hint behind the image."""
    if not net.config.shared_image:
        raise ConfigError("questions can share a picture only in a model with shared_image; ask them one by one")
    weight = net.denoiser.embedding.weight
    image = net.image_tokens(features.to(weight), grid)
    ids, real = _padded(hints)
    real = torch.cat((real.new_ones(image.shape[:2]), real), 1).to(weight.device)
    x = torch.cat((image, net.denoiser.embed(ids.to(weight.device))), 1)
    cache = PrefixCache(net.config.denoiser.n_layers)
    net.denoiser(x, mask=real[:, None, None, :], cache=cache)
    return Prefixes(cache=cache, real=real, length=real.sum(1))


@torch.inference_mode()
def _ask(net: VLM, prefixes: Prefixes, rows: Tensor, prompts: Sequence[list[int]]) -> Prefixes:
    """The prefixes of pictures `rows` [Q] continued by a prompt each."""
    held = prefixes.select(rows)
    ids, real = (t.to(held.real.device) for t in _padded(prompts))
    positions = held.length[:, None] + torch.arange(ids.shape[1], device=ids.device)
    seen = torch.cat((held.real, real), 1)
    held.cache.writing = True
    net.denoiser(net.denoiser.embed(ids), positions=positions, mask=seen[:, None, None, :], cache=held.cache)
    held.cache.writing = False
    return Prefixes(cache=held.cache, real=seen, length=held.length + real.sum(1))


@torch.inference_mode()
def _fill(net: VLM, held: Prefixes, length: int, steps: int, schedule: str, shift: float) -> Tensor:
    """Canvases [Q, length] filled surest first; a row whose end token has nothing open before it is finished."""
    denoiser, generator = net.config.denoiser, torch.Generator()
    done = torch.full((len(held.length), length), denoiser.mask_id, device=held.real.device)
    eos = torch.tensor(denoiser.eos_ids, device=done.device)
    rows = torch.arange(len(done), device=done.device)  # those still being written
    for count in unmask_counts(length, steps, schedule, shift):
        ids = done[rows]
        is_open = ids == denoiser.mask_id
        where = is_open.nonzero()[:, 1].view(len(rows), -1)  # every row has as many masks left
        positions = held.length[:, None] + torch.arange(length, device=ids.device)
        mask = torch.cat((held.real, held.real.new_ones(ids.shape)), 1)[:, None, None, :]
        hidden = net.denoiser(net.denoiser.embed(ids), positions=positions, mask=mask, cache=held.cache)
        logits = net.denoiser.head(hidden[is_open])
        candidates = propose(logits, denoiser.mask_id, 0.0, generator)
        sure = confidence(logits, candidates, "confidence", generator).view(where.shape)
        best = sure.topk(min(count, where.shape[1]), 1).indices
        ids.scatter_(1, where.gather(1, best), candidates.view(where.shape).gather(1, best))
        ended = (torch.isin(ids, eos) & ((ids == denoiser.mask_id).cumsum(1) == 0)).any(1)
        ids[ended] = torch.where(ids[ended] == denoiser.mask_id, eos[0], ids[ended])
        done[rows] = ids
        if ended.any():
            rows, held = rows[~ended], held.select((~ended).nonzero()[:, 0])
        if not len(rows):
            break
    return done


def fill_answers(
    net: VLM,
    prefixes: Prefixes,
    rows: Sequence[int],
    prompts: Sequence[list[int]],
    *,
    length: int,
    steps: int | None = None,
    schedule: str = "shift",
    shift: float = DEFAULT_SHIFT,
) -> list[list[int]]:
    """The canvas of each prompt about picture `rows[i]`; `steps` None = one token a step.

    Raises RequestError if a prompt and its canvas do not fit into the model.
    """
    if net.config.denoiser.logit_shift:
        raise ConfigError("the batched evaluator knows only models whose logits are not shifted; ask one by one")
    longest = int(prefixes.length.max()) + max(map(len, prompts), default=0) + length
    if longest > net.config.denoiser.max_length:
        raise RequestError(f"prompt and answer take {longest} tokens and the model holds fewer; shorten one of them")
    device, size = prefixes.real.device, max(1, _ROOM // length)
    canvases: list[list[int]] = []
    for at in range(0, len(prompts), size):
        chosen = torch.tensor(rows[at : at + size], device=device)
        held = _ask(net, prefixes, chosen, prompts[at : at + size])
        canvases += _fill(net, held, length, steps or length, schedule, shift).tolist()
    return canvases
