from __future__ import annotations

import pytest
import torch

from lavida.decode.canvas import Canvas
from lavida.decode.loop import denoise
from lavida.decode.options import DecodeOptions
from lavida.edit.fill import fill
from lavida.edit.reading import Reading
from tests.edit.readings import L, random_reading


def _drafts(reading: Reading) -> torch.Tensor:
    ids = reading.tokenizer.encode("a cat and a dog")
    drafts = reading.canvas(ids).repeat(4, 1)
    for row, places in enumerate(([1], [0, 1, 2, 3], [2, 4], [])):
        drafts[row, places] = reading.mask_id
    return drafts


@pytest.mark.parametrize("cache", ["prefix", "none"])
@pytest.mark.parametrize("options", [{}, {"steps": 2}, {"temperature": 1.5, "seed": 7}, {"threshold": 0.01}])
def test_drafts_filled_together_are_those_filled_alone(cache: str, options: dict) -> None:
    reading = random_reading(cache)
    drafts, chosen = _drafts(reading), DecodeOptions(length=L, **options)
    together = fill(reading, drafts, torch.zeros_like(drafts, dtype=torch.bool), chosen)
    for draft, filled in zip(drafts, together, strict=True):
        alone = fill(reading, draft[None], torch.zeros(1, L, dtype=torch.bool), chosen)[0]
        assert alone.tolist() == filled.tolist()
        kept = draft != reading.mask_id
        assert (filled[kept] == draft[kept]).all() and not torch.isin(filled[~kept], reading.unwritable).any()


def test_it_is_the_loop_that_fills() -> None:
    reading = random_reading()
    draft, denoiser = _drafts(reading)[1], reading.net.config.denoiser
    options = DecodeOptions(length=L, banned=tuple(reading.unwritable.tolist()))

    def logits_of(look):
        return reading.net.denoiser.head(reading.hidden_of(look.ids[None])[0, look.rows])

    canvas = Canvas.draft(draft, denoiser.mask_id)
    *_, last = denoise(logits_of, canvas, options, mask_id=denoiser.mask_id, eos_ids=denoiser.eos_ids)
    filled = fill(reading, draft[None], torch.zeros(1, L, dtype=torch.bool), DecodeOptions(length=L))[0]
    assert filled.tolist() == last.canvas.tolist()


def test_a_place_behind_a_space_begins_with_one() -> None:
    reading = random_reading()
    drafts = _drafts(reading)
    spaced = torch.zeros_like(drafts, dtype=torch.bool)
    spaced[1, 0] = spaced[1, 2] = True
    free = fill(reading, drafts, torch.zeros_like(spaced), DecodeOptions(length=L))
    held = fill(reading, drafts, spaced, DecodeOptions(length=L))
    texts = [reading.tokenizer.token(i) for i in held[1, [0, 2]].tolist()]
    assert all(text.startswith(" ") for text in texts)
    assert not all(reading.tokenizer.token(i).startswith(" ") for i in free[1, [0, 2]].tolist())
