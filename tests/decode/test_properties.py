"""Any options: refused with a reason, or answered as the plain loop does; nothing committed is written twice."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida.decode.driver import answer_steps
from lavida.decode.loop import Canvas
from lavida.decode.options import CACHES, REMASKING, DecodeOptions
from lavida.diffusion.schedule import SCHEDULES
from lavida.errors import RequestError
from tests.fakes import tiny_config, tiny_model
from tests.loops import answer_logits, denoise

MASK, EOS, VOCAB = 40, (41, 42), 48
MODELS = [tiny_model(tiny_config(None, logit_shift=shift)) for shift in (False, True)]
SHARE = st.floats(0.05, 1.0)
OPTIONS = {
    "length": st.integers(1, 12),
    "steps": st.integers(1, 12),
    "block": st.integers(1, 12),
    "schedule": st.sampled_from(SCHEDULES),
    "threshold": SHARE,
    "factor": st.floats(0.1, 4),
    "entropy_bound": st.floats(0.1, 4),
    "remasking": st.sampled_from(REMASKING),
    "temperature": SHARE,
    "top_p": SHARE,
    "top_k": st.integers(1, 9),
    "sharp_confidence": st.booleans(),
    "selection_temperature": SHARE,
    "banned": st.lists(st.integers(0, VOCAB - 10), max_size=3),
    "revise": SHARE,
    "early_stop": st.booleans(),
    "stops": st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=2), max_size=2),
    "cache": st.sampled_from(CACHES),
    "refresh": st.integers(1, 3),
    "seed": st.integers(0, 9),
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    given_options=st.dictionaries(st.sampled_from(list(OPTIONS)), st.none(), max_size=4).flatmap(
        lambda names: st.fixed_dictionaries({name: OPTIONS[name] for name in names})
    ),
    shift=st.integers(0, 1),
    draft=st.lists(st.sampled_from((MASK, MASK, MASK, 3, 4)), min_size=12, max_size=12),
)
def test_the_lean_answer_is_the_plain_one(given_options: dict[str, Any], shift: int, draft: list[int]) -> None:
    try:
        options = DecodeOptions(**{"length": 8, **given_options})
    except RequestError as error:
        assert "\n" not in str(error)
        return
    model = MODELS[shift]
    ids = torch.tensor(draft[: options.length])
    if shift:  # Dream's first token is written before the loop begins
        ids[0] = 3
    prompt = model.segments(torch.tensor([1, 2, 3]), [])
    lean = list(answer_steps(model, prompt, options, draft=ids))
    logits_of = answer_logits(model, prompt, options.cache)
    plain = list(denoise(logits_of, Canvas.draft(ids, MASK), options, mask_id=MASK, eos_ids=EOS))
    assert [s.canvas.tolist() for s in lean] == [s.canvas.tolist() for s in plain]
    assert [s.committed.tolist() for s in lean] == [s.committed.tolist() for s in plain]
    open_at_first = int((ids == MASK).sum())
    assert bool(lean) == bool(open_at_first)
    if lean:
        assert not (lean[-1].canvas == MASK).any()
        given = ids != MASK
        assert torch.equal(lean[-1].canvas[given], ids[given])
        assert not torch.isin(lean[-1].canvas[~given], torch.tensor(options.banned)).any()
        written = torch.cat([s.committed for s in lean])
        assert options.revise is not None or len(written.unique()) == len(written) == open_at_first
