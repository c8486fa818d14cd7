from __future__ import annotations

import pytest
import torch

from lavida.decode.loop import Canvas
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt
from lavida.edit.infill import fill_drafts
from tests.edit.prompts import L, random_prompt
from tests.loops import denoise


def _drafts(prompt: Prompt) -> torch.Tensor:
    ids = prompt.tokenizer.encode("a cat and a dog")
    drafts = prompt.canvas(ids, L).repeat(4, 1)
    for row, places in enumerate(([1], [0, 1, 2, 3], [2, 4], [])):
        drafts[row, places] = prompt.mask_id
    return drafts


@pytest.mark.parametrize("cache", ["prefix", "none"])
@pytest.mark.parametrize("options", [{}, {"steps": 2}, {"temperature": 1.5, "seed": 7}, {"threshold": 0.01}])
def test_drafts_filled_together_are_those_filled_alone(cache: str, options: dict) -> None:
    prompt = random_prompt(cache)
    drafts, chosen = _drafts(prompt), DecodeOptions(length=L, **options)
    together = fill_drafts(prompt, drafts, torch.zeros_like(drafts, dtype=torch.bool), chosen)
    for draft, filled in zip(drafts, together, strict=True):
        alone = fill_drafts(prompt, draft[None], torch.zeros(1, L, dtype=torch.bool), chosen)[0]
        assert alone.tolist() == filled.tolist()
        kept = draft != prompt.mask_id
        assert (filled[kept] == draft[kept]).all() and not torch.isin(filled[~kept], prompt.unwritable).any()


def test_it_is_the_loop_that_fills() -> None:
    prompt = random_prompt()
    draft, denoiser = _drafts(prompt)[1], prompt.net.config.denoiser
    options = DecodeOptions(length=L, banned=tuple(prompt.unwritable.tolist()))

    def logits_of(look):
        return prompt.net.denoiser.head(prompt.hidden(look.ids[None])[0, look.rows])

    canvas = Canvas.draft(draft, denoiser.mask_id)
    *_, last = denoise(logits_of, canvas, options, mask_id=denoiser.mask_id, eos_ids=denoiser.eos_ids)
    filled = fill_drafts(prompt, draft[None], torch.zeros(1, L, dtype=torch.bool), DecodeOptions(length=L))[0]
    assert filled.tolist() == last.canvas.tolist()


def test_a_place_behind_a_space_begins_with_one() -> None:
    prompt = random_prompt()
    drafts = _drafts(prompt)
    spaced = torch.zeros_like(drafts, dtype=torch.bool)
    spaced[1, 0] = spaced[1, 2] = True
    free = fill_drafts(prompt, drafts, torch.zeros_like(spaced), DecodeOptions(length=L))
    held = fill_drafts(prompt, drafts, spaced, DecodeOptions(length=L))
    texts = [prompt.tokenizer.token(i) for i in held[1, [0, 2]].tolist()]
    assert all(text.startswith(" ") for text in texts)
    assert not all(prompt.tokenizer.token(i).startswith(" ") for i in free[1, [0, 2]].tolist())
