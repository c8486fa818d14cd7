from __future__ import annotations

import pytest
import torch

from lavida.nn.layers import rotary_span, rotary_tables


@pytest.mark.parametrize(("start", "end"), [(0, 1), (3, 40), (500, 600), (4090, 4100), (7, 7)])
def test_kept_tables_are_those_of_the_positions(start: int, end: int) -> None:
    wanted = rotary_tables(torch.arange(start, end), 8, 10_000.0)
    with torch.inference_mode():
        kept = rotary_span(start, end, 8, 10_000.0, torch.device("cpu"))
    for ours, theirs in zip(kept, wanted, strict=True):
        assert torch.equal(ours, theirs) and not ours._base.is_inference()
    assert rotary_span(start, end, 8, 10_000.0, torch.device("cpu"))[0].data_ptr() == kept[0].data_ptr()
