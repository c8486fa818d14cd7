"""Many drafts behind one prompt, filled by THE loop in shared forward passes."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from lavida.decode.canvas import Canvas
from lavida.decode.loop import write
from lavida.decode.options import DecodeOptions
from lavida.decode.score import score
from lavida.edit.reading import Reading


@torch.no_grad()
def fill(
    reading: Reading, drafts: Tensor, spaced: Tensor, options: DecodeOptions, *, allowed: Collection[int] = ()
) -> Tensor:
    """Drafts [C, L] with a token of text at each of their masks; where `spaced` [C, L], it begins with a space.

    `options.length` is L. The ids `allowed` may be written though they stand for no text. Raises RequestError.
    """
    denoiser = reading.net.config.denoiser
    banned = reading.unwritable[~torch.isin(reading.unwritable, torch.tensor(list(allowed), dtype=torch.long))]
    generators = [torch.Generator().manual_seed(options.seed) for _ in drafts]
    ends = {"mask_id": denoiser.mask_id, "eos_ids": denoiser.eos_ids}
    writers = [
        write(Canvas.draft(draft, denoiser.mask_id), options, generator=generator, **ends)
        for draft, generator in zip(drafts, generators, strict=True)
    ]
    looks = {row: look for row, writer in enumerate(writers) if (look := next(writer, None)) is not None}
    done = drafts.clone()
    while looks:
        rows = list(looks)
        ids = torch.stack([looks[row].ids for row in rows])
        wanted = torch.zeros(ids.shape, dtype=torch.bool)
        for i, row in enumerate(rows):
            wanted[i, looks[row].rows] = True
        logits = reading.log_probabilities(ids, torch.zeros_like(wanted), wanted).index_fill_(1, banned, -torch.inf)
        reading.begin_with_space(logits, spaced[rows][wanted])
        for row, mine in zip(rows, logits.split(wanted.sum(1).tolist()), strict=True):
            scores = score(looks.pop(row), mine, options, mask_id=denoiser.mask_id, generator=generators[row])
            done[row] = writers[row].send(scores).canvas
            look = next(writers[row], None)
            if look is not None:
                looks[row] = look
    return done
