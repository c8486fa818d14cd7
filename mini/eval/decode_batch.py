"""Answers to many questions about encoded pictures: the jobs of one `Driver`, so they are those of one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.decode.context import PrefixContext
from lavida.decode.driver import Driver, Job
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.diffusion.schedule import DEFAULT_SHIFT
from lavida.errors import RequestError
from lavida.image.tiles import Grid
from lavida.model.vlm import VLM

_JOBS = 64  # answers written side by side


@dataclass(frozen=True, kw_only=True)
class EncodedPicture:
    """Hold the tokens of a picture and its hint, and their keys if nothing that follows changes them."""

    x: Tensor  # embeddings [1, P, D]
    cache: PrefixCache | None = None


@torch.inference_mode()
def encode_pictures(net: VLM, features: Tensor, grid: Grid, hints: Sequence[list[int]]) -> list[EncodedPicture]:
    """Encode tower features [G, V, n, C] of pictures, each with the ids of its hint behind the image."""
    kept = net.config.shared_image or net.config.denoiser.autoregressive
    found = []
    for image, hint in zip(
        net.image_tokens(features.to(net.denoiser.device, net.denoiser.dtype), grid), hints, strict=True
    ):
        words = net.denoiser.embed(torch.tensor(hint, dtype=torch.long, device=net.denoiser.device))
        x = torch.cat((image, words))[None]
        found.append(EncodedPicture(x=x, cache=net.prefill([x]) if kept else None))
    return found


def picture_prompt(net: VLM, picture: EncodedPicture, ids: Sequence[int], *, room: int = 0) -> Prompt:
    """Return the prompt of a question's ids [Q] about a picture; `room` is the length of the canvas."""
    words = net.denoiser.embed(torch.tensor(ids, dtype=torch.long, device=picture.x.device))[None]
    if picture.cache is None:
        return Prompt(net=net, segments=[torch.cat((picture.x, words), 1)])
    return Prompt(net=net, segments=[], prefix=PrefixContext(net, picture.cache.fork(room), words))


@torch.inference_mode()
def decode_batch(
    net: VLM,
    pictures: Sequence[EncodedPicture],
    rows: Sequence[int],
    questions: Sequence[list[int]],
    *,
    length: int,
    steps: int | None = None,
    schedule: str = "shift",
    shift: float = DEFAULT_SHIFT,
) -> list[list[int]]:
    """Return the canvas of each question about picture `rows[i]`; `steps` None is one token a step.

    Raises:
        RequestError: A prompt and its canvas do not fit into the model, or a model that writes left to right is to
            take fewer steps than tokens.
    """
    denoiser = net.config.denoiser
    if denoiser.autoregressive and steps not in (None, length):
        raise RequestError("this model writes one token after the other; leave out steps")
    options = DecodeOptions(
        length=length,
        steps=None if denoiser.autoregressive else steps,
        block=1 if denoiser.autoregressive else None,
        schedule=schedule,
        shift=shift,
        cache="none" if pictures and pictures[0].cache is None else "prefix",
    )
    jobs = [
        Job(net, options, picture_prompt(net, pictures[row], ids, room=length))
        for row, ids in zip(rows, questions, strict=True)
    ]
    driver = Driver(net, rows=4096, exact=False)
    for at in range(0, len(jobs), _JOBS):
        driver.run(jobs[at : at + _JOBS])
    return [job.loop.canvas.ids.tolist() for job in jobs]
