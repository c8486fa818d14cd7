from __future__ import annotations

import random
from decimal import Decimal

import pytest

from lavida.constrain.dfa import compile_term
from lavida.constrain.scalars import Bound, decimal, integer
from lavida.errors import RequestError

ENDS = ["0", "5", "-5", "10", "99", "100", "12.5", "-0.3", "0.05", "1.10", "-120", "7", "1000", "-1", "0.999", "3.14"]
WHOLE = ["0", "1", "3", "5", "7", "9", "10", "12", "99", "100", "999", "1000"]
PLACES = ["0", "00", "5", "50", "05", "3", "30", "1", "10", "99", "999", "9990", "14", "140", "141", "139"]


@pytest.mark.parametrize("seed", range(12))
def test_a_range_holds_its_numbers_and_no_others(seed: int) -> None:
    r = random.Random(seed)
    ends = [Bound(value=Decimal(r.choice(ENDS)), strict=r.random() < 0.5) if r.random() < 0.7 else None for _ in "ab"]
    least, most, multiple = *ends, r.choice([1, 1, 3, 7])

    def inside(value: Decimal | int) -> bool:
        above = least is None or value > least.value or (value == least.value and not least.strict)
        below = most is None or value < most.value or (value == most.value and not most.strict)
        return above and below

    whole, broken = compile_term(integer(least, most, multiple)), compile_term(decimal(least, most))
    for value in (*range(-130, 130), 999, 1000, 1001):
        assert whole.accepts(str(value)) == (inside(value) and value % multiple == 0)
        assert broken.accepts(str(value)) == inside(value)
    for _ in range(200):
        written = f"{r.choice(['', '-'])}{r.choice(WHOLE)}.{r.choice(PLACES)}"
        if Decimal(written) or written[0] != "-":
            assert broken.accepts(written) == inside(Decimal(written))
        assert not whole.accepts(written)


def test_numbers_are_written_in_one_way() -> None:
    whole, broken = compile_term(integer()), compile_term(decimal())
    for wrong in ("", "-", "-0", "01", "+1", "1e3", ".5", "1.", "-0.0", "9" * 16):
        assert not whole.accepts(wrong) and not broken.accepts(wrong)
    assert whole.accepts("9" * 15) and broken.accepts("123456789.123456")


def test_bounds_beyond_double_precision_are_refused() -> None:
    with pytest.raises(RequestError, match="more digits than double precision holds"):
        decimal(Bound(value=Decimal("0.30000000000000004"), strict=True))
    with pytest.raises(RequestError, match="300 digits"):
        integer(Bound(value=Decimal("1e350")))
