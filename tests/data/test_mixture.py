"""The stream of a mixture: shares, epochs, subsets, and the same draw for the same number."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from lavida.data.mixture import Ingredient, Mixture
from lavida.data.samples import Sample, read_sample
from lavida.errors import ConfigError, DataError
from tests.data.sets import ask


@dataclass
class Numbers:
    """A source of so many samples in memory."""

    name: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        return read_sample(ask(index), f"{self.name}:{index}", str)

    def size_of(self, index: int) -> int:
        return index


def drawn(mixture: Mixture, start: int, stop: int, seed: int = 0) -> Counter:
    return Counter((mixture.name_of(d), d.index) for d in (mixture.draw(n, seed) for n in range(start, stop)))


def test_an_epoch_draws_every_sample_once_in_an_order_of_its_own() -> None:
    mixture = Mixture([Ingredient(source=Numbers("a", 7)), Ingredient(source=Numbers("b", 3))])
    everything = Counter([("a", i) for i in range(7)] + [("b", i) for i in range(3)])
    assert len(mixture) == 10 and all(drawn(mixture, 10 * e, 10 * e + 10) == everything for e in range(3))
    orders = {tuple(mixture.draw(n, seed) for n in range(10)) for seed in (0, 1)}
    orders |= {tuple(mixture.draw(n, 0) for n in range(10, 20))}
    assert len(orders) == 3


def test_a_draw_depends_on_its_number_and_the_seed_alone() -> None:
    one, other = (Mixture([Ingredient(source=Numbers("a", 50), weight=w) for w in (1, 3)]) for _ in range(2))
    numbers = [*range(0, 400, 7)]
    expected = {n: one.draw(n, 5) for n in numbers}
    assert all(other.draw(n, 5) == expected[n] for n in reversed(numbers))
    assert any(other.draw(n, 6) != expected[n] for n in numbers)


def test_weights_are_shares_of_the_draws_and_sources_are_used_evenly() -> None:
    mixture = Mixture([Ingredient(source=Numbers("a", 90), weight=1), Ingredient(source=Numbers("b", 10), weight=3)])
    found = drawn(mixture, 0, 200)
    shares = Counter(name for name, _ in found.elements())
    assert shares == {"a": 50, "b": 150} and len(mixture) == 100
    assert {count for (name, _), count in found.items() if name == "b"} == {15}
    assert {count for (name, _), count in found.items() if name == "a"} == {1}  # 50 of its 90, none twice


def test_a_source_of_little_weight_still_comes() -> None:
    mixture = Mixture(
        [Ingredient(source=Numbers("a", 40), weight=1000), Ingredient(source=Numbers("b", 9), weight=0.001)]
    )
    assert mixture.quotas == [48, 1] and {name for name, _ in drawn(mixture, 0, 49)} == {"a", "b"}


def test_taken_and_held_out_samples_stay_the_same() -> None:
    mixture = Mixture([Ingredient(source=Numbers("a", 20), take=5, held_out=4), Ingredient(source=Numbers("b", 6))])
    found = drawn(mixture, 0, 33)
    held = {(mixture.name_of(d), d.index) for d in mixture.held_out()}
    assert len(mixture) == 11 and len(held) == 4 and {name for name, _ in held} == {"a"}
    assert not held & set(found) and sum(name == "a" for name, _ in found) == 5
    assert drawn(mixture, 0, 33, seed=9) == found
    again = Mixture([Ingredient(source=Numbers("a", 20), held_out=4)])
    assert {d.index for d in again.held_out()} == {index for _, index in held}


def test_another_draw_comes_from_the_same_samples() -> None:
    mixture = Mixture([Ingredient(source=Numbers("a", 20), take=5), Ingredient(source=Numbers("b", 6))])
    first = next(d for d in (mixture.draw(n, 0) for n in range(20)) if d.ingredient == 0)
    others = {mixture.another(first, random.Random(i)) for i in range(60)}
    assert {d.index for d in others} == {i for name, i in drawn(mixture, 0, 11) if name == "a"}
    assert {(d.number, d.ingredient) for d in others} == {(first.number, 0)}


def test_a_suffix_goes_behind_some_questions() -> None:
    mixture = Mixture([Ingredient(source=Numbers("a", 9), suffix=" /think", suffix_share=0.5)])
    asked = [mixture.sample(mixture.draw(n, 0), random.Random(n)).turns for n in range(200)]
    ends = [turns[0].parts[-1].value.endswith("? /think") for turns in asked]
    assert 70 < sum(ends) < 130
    assert not any(turns[1].parts[0].value.endswith("think") for turns in asked)


def test_what_cannot_be_mixed_is_refused() -> None:
    source = Numbers("a", 5)
    for wrong in ({"weight": 0}, {"weight": float("nan")}, {"suffix_share": 2}):
        with pytest.raises(ConfigError):
            Ingredient(source=source, **wrong)
    for wrong in ({"take": 6}, {"take": 0}, {"held_out": 5}, {"take": 4, "held_out": 2}):
        with pytest.raises(DataError, match="a has"):
            Ingredient(source=source, **wrong)
    with pytest.raises(ConfigError, match="give every source of a mixture a weight, or none"):
        Mixture([Ingredient(source=source, weight=1), Ingredient(source=source)])
    with pytest.raises(ConfigError, match="at least one source"):
        Mixture([])
