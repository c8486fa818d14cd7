"""From a model and a prompt to the `logits_of` that the loop asks for: cached, uncached, guided."""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.decode.loop import LogitsOf
from lavida.errors import RequestError
from lavida.model.vlm import VLM


def answer_logits(model: VLM, segments: list[Tensor], cache: str | PrefixCache = "prefix") -> LogitsOf:
    """Logits of a canvas behind the prompt pieces [1, P_i, D] of `VLM.segments`.

    "prefix" computes the prompt once: exact under the Prefix-DLM mask. A PrefixCache from `VLM.prefill` is used as it
    is, and `segments` may then be empty. "none" recomputes everything at each step: the prompt sees the canvas too,
    except in a model with `shared_image`, which was trained with the prefix mask and keeps it.
    """
    denoiser, shift = model.denoiser, model.config.denoiser.logit_shift
    length = cache.length if isinstance(cache, PrefixCache) else sum(segment.shape[1] for segment in segments)
    if shift and length == 0:
        raise RequestError("this model predicts each token from the one before; give it a prompt of at least one token")
    if cache == "none":
        return _uncached(model, segments, length)
    held = cache if isinstance(cache, PrefixCache) else model.prefill(segments)
    limit = model.config.denoiser.max_length

    def logits_of(ids: Tensor) -> Tensor:
        _check_room(length + len(ids), limit)
        hidden = denoiser(denoiser.embed(ids[None].to(_device(model))), cache=held)[0]
        if shift:  # row i speaks of token i + 1, so the prompt's last row speaks of the first token
            hidden = torch.cat((held.tail, hidden[:-1]))
        return denoiser.head(hidden).to(ids.device)

    return logits_of


def _uncached(model: VLM, segments: list[Tensor], length: int) -> LogitsOf:
    denoiser, shift = model.denoiser, model.config.denoiser.logit_shift
    prompt = torch.cat(segments, 1) if segments else None

    def logits_of(ids: Tensor) -> Tensor:
        _check_room(length + len(ids), model.config.denoiser.max_length)
        x = denoiser.embed(ids[None].to(_device(model)))
        x = x if prompt is None else torch.cat((prompt, x), 1)
        mask = staircase([*(s.shape[1] for s in segments), len(ids)], x.device) if model.config.shared_image else None
        hidden = denoiser(x, mask=mask)[0]
        first = length - int(shift)
        return denoiser.head(hidden[first : first + len(ids)]).to(ids.device)

    return logits_of


def staircase(lengths: list[int], device: torch.device | str = "cpu") -> Tensor:
    """Mask [1, 1, L, L] under which each piece sees itself and the pieces before it."""
    piece = torch.arange(len(lengths), device=device).repeat_interleave(torch.tensor(lengths, device=device))
    return (piece[:, None] >= piece[None, :])[None, None]


def guided(conditional: LogitsOf, unconditional: LogitsOf, scale: float) -> LogitsOf:
    """Classifier-free guidance: u + (scale + 1) (c - u); `unconditional` sees a prompt of masks (arXiv 2502.09992)."""
    if scale == 0:
        return conditional

    def logits_of(ids: Tensor) -> Tensor:
        u = unconditional(ids)
        return u + (scale + 1) * (conditional(ids) - u)

    return logits_of


def _device(model: VLM) -> torch.device:
    return model.denoiser.embedding.weight.device


def _check_room(length: int, limit: int) -> None:
    if length > limit:
        raise RequestError(f"prompt and answer take {length} tokens and the model holds {limit}; shorten one of them")
