from __future__ import annotations

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache


def _kv(*positions: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    """Keys and values [B, 2, L, 3] that say where they belong."""
    k = torch.tensor(positions, dtype=torch.float32)[None, None, :, None].expand(batch, 2, -1, 3).clone()
    return k, -k


def _places(cache: PrefixCache, *positions: int, batch: int = 1) -> list[list[float]]:
    """What a forward over `positions` sees, of each row."""
    k, v = cache.join(0, *_kv(*positions, batch=batch))
    assert torch.equal(v, -k) and (k == k[:, :1, :, :1]).all()
    return k[:, 0, :, 0].tolist()


def _prefix(room: int = 0) -> PrefixCache:
    cache = PrefixCache(1, room)
    _places(cache, 0, 1, 2)
    cache.writing = False
    return cache


def test_a_closed_cache_shows_the_prefix_and_each_canvas_alone() -> None:
    for room in (0, 2, 9):
        cache = _prefix(room)
        assert _places(cache, 7, 8) == [[0, 1, 2, 7, 8]]
        assert _places(cache, 9) == [[0, 1, 2, 9]]
        assert _places(cache, 4, 5, 6, 7) == [[0, 1, 2, 4, 5, 6, 7]]
        assert cache.length == 3


def test_a_step_copies_no_prefix() -> None:
    cache = _prefix(room=4)
    first, _ = cache.join(0, *_kv(5, 6))
    second, _ = cache.join(0, *_kv(7, 8))
    assert first.data_ptr() == second.data_ptr()
    short = _prefix(room=0)
    short.join(0, *_kv(5, 6))  # room is made once
    first, _ = short.join(0, *_kv(5, 6))
    assert first.data_ptr() == short.join(0, *_kv(7, 8))[0].data_ptr()


def test_forks_grow_apart() -> None:
    cache = _prefix(room=8)
    one, two = cache.fork(), cache.fork()
    assert _places(one, 3, 4) == [[0, 1, 2, 3, 4]]
    assert _places(two, 5) == [[0, 1, 2, 5]]
    again = one.fork()
    assert _places(cache, 9) == [[0, 1, 2, 9]]  # a canvas, behind what the forks share
    assert _places(one, 6) == [[0, 1, 2, 3, 4, 6]]
    assert _places(two, 7) == [[0, 1, 2, 5, 7]]
    assert _places(again, 8) == [[0, 1, 2, 3, 4, 8]]
    assert (cache.length, one.length, two.length, again.length) == (3, 6, 5, 6)


def test_several_canvases_stand_behind_one_prefix() -> None:
    cache = _prefix(room=2)
    assert _places(cache, 3, 4, batch=2) == [[0, 1, 2, 3, 4]] * 2
    assert _places(cache, 5) == [[0, 1, 2, 5]]
    cache.writing = True
    assert _places(cache, 3, batch=2) == [[0, 1, 2, 3]] * 2
    assert _places(cache.select(torch.tensor([1, 0, 1])), 4, batch=3) == [[0, 1, 2, 3, 4]] * 3


def test_what_is_written_in_inference_mode_is_read_outside() -> None:
    with torch.inference_mode():
        cache = _prefix(room=2)
    assert _places(cache, 3) == [[0, 1, 2, 3]]
