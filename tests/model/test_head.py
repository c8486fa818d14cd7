from __future__ import annotations

import pytest
import torch

from lavida.model.placement import quantize
from tests.fakes import tiny_config, tiny_model


@torch.no_grad()
@pytest.mark.parametrize("how", ["tied", "untied", "int8+head", "int4+head"])
def test_parts_of_the_vocabulary_make_the_whole(how: str) -> None:
    model = tiny_model(tiny_config(None, tied_head=how == "tied"))
    if "+" in how:
        quantize(model, how)
    hidden = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    whole = model.denoiser.head(hidden)
    parts = [model.denoiser.head(hidden, slice(start, start + 7)) for start in range(0, 48, 7)]
    assert [part.shape[1] for part in parts] == [7] * 6 + [6]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)
    assert model.denoiser.head(hidden, slice(9, 9)).shape == (5, 0)
