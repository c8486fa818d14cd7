from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lavida.nn import attention
from lavida.nn.attention import attend


@pytest.mark.parametrize(("amx", "size", "heads"), [(False, 64, True), (True, 64, False), (True, 72, True)])
def test_the_way_is_chosen_by_processor_and_shape_and_changes_little(
    amx: bool, size: int, heads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_has_amx", lambda: amx)
    taken, by_heads = [], attention._by_heads
    monkeypatch.setattr(attention, "_by_heads", lambda *qkv: taken.append(True) or by_heads(*qkv))
    q, k, v = torch.randn(4, 200, size), torch.randn(2, 200, size), torch.randn(2, 200, size)
    q, k, v = (x[None].bfloat16() for x in (q, k, v))
    found = attend(q, k, v)
    assert bool(taken) == heads
    exact = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), enable_gqa=True)
    torch.testing.assert_close(found.double(), exact, rtol=0.02, atol=0.01)
    attend(q, k, v, torch.ones(200, 200, dtype=torch.bool))
    attend(q[:, :, :8], k, v)
    attend(q.requires_grad_(), k, v)
    assert len(taken) == heads
