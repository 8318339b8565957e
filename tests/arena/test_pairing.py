"""Who meets whom: exact shares, and draws that keep to them."""

from collections import Counter
from dataclasses import replace
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.arena.pairing import TARGET_SHARE, Entrant, NobodyToMeet, Pair, draw, gain, shares, sides

N_DRAWS = 20_000
TOLERANCE = 0.015
"""More than four standard errors of a share measured by so many draws."""

weights = st.floats(0, 1000, allow_nan=False).map(lambda weight: 0.0 if weight < 1e-3 else weight)


@st.composite
def fields(draw_value: st.DrawFn) -> list[Entrant]:
    n = draw_value(st.integers(0, 7))
    keys = st.integers(0, n - 1) if n else st.nothing()
    return [
        Entrant(
            key=key,
            weight=draw_value(weights),
            boost=draw_value(st.floats(1, 100)),
            targets=frozenset(draw_value(st.sets(keys))) - {key},
            has_strict_targets=draw_value(st.booleans()),
            is_anonymous_only=draw_value(st.booleans()),
        )
        for key in range(n)
    ]


@given(fields())
def test_shares_add_up_to_one_or_nobody_may_meet(entrants: list[Entrant]) -> None:
    of_pairs = shares(entrants)
    assert sum(of_pairs.values()) == pytest.approx(1 if of_pairs else 0)
    assert all(share >= 0 for share in of_pairs.values())


@given(fields())
def test_a_pair_keeps_every_rule(entrants: list[Entrant]) -> None:
    by_key = {entrant.key: entrant for entrant in entrants}
    for pair in shares(entrants):
        one, other = (by_key[key] for key in pair)
        assert one is not other
        assert one.weight > 0
        assert other.weight > 0
        assert not (one.is_anonymous_only and other.is_anonymous_only)
        for first, second in ((one, other), (other, one)):
            assert not first.has_strict_targets or second.key in first.targets


@given(fields(), st.integers())
def test_a_draw_is_one_of_the_pairs(entrants: list[Entrant], seed: int) -> None:
    of_pairs = shares(entrants)
    if not of_pairs:
        with pytest.raises(NobodyToMeet):
            draw(entrants, Random(seed))
        return
    left, right = draw(entrants, Random(seed))
    assert (left, right) in of_pairs or (right, left) in of_pairs


@given(weights.filter(bool), weights.filter(bool), st.integers())
def test_any_two_with_the_defaults_meet(one: float, other: float, seed: int) -> None:
    pair = draw([Entrant(1, weight=one), Entrant(2, weight=other)], Random(seed))
    assert set(pair) == {1, 2}


@pytest.mark.parametrize("entrants", [[], [Entrant(1)], [Entrant(1), Entrant(2, weight=0)]])
def test_without_two_that_weigh_something_there_is_no_battle(entrants: list[Entrant]) -> None:
    with pytest.raises(NobodyToMeet):
        draw(entrants, Random(0))


def measured(entrants: list[Entrant], **options: object) -> Counter[frozenset[int]]:
    random = Random(7)
    return Counter(frozenset(draw(entrants, random, **options)) for _ in range(N_DRAWS))  # type: ignore[arg-type]


def unordered(of_pairs: dict[Pair, float]) -> dict[frozenset[int], float]:
    found: Counter[frozenset[int]] = Counter()
    for pair, share in of_pairs.items():
        found[frozenset(pair)] += share  # type: ignore[assignment]  # a Counter of shares
    return dict(found)


@pytest.mark.parametrize(
    "entrants",
    [
        [Entrant(1), Entrant(2), Entrant(3)],
        [Entrant(1, weight=3), Entrant(2), Entrant(3, weight=0.5), Entrant(4)],
        [Entrant(1, boost=5), Entrant(2), Entrant(3)],
        [Entrant(1, targets=frozenset({2})), Entrant(2), Entrant(3), Entrant(4)],
        [Entrant(1, targets=frozenset({2}), has_strict_targets=True), Entrant(2), Entrant(3)],
        [Entrant(1, is_anonymous_only=True), Entrant(2, is_anonymous_only=True), Entrant(3)],
    ],
    ids=["equal", "weights", "boost", "targets", "strict targets", "anonymous only"],
)
def test_measured_shares_are_those_that_were_computed(entrants: list[Entrant]) -> None:
    counted = measured(entrants)
    expected = unordered(shares(entrants))
    assert counted.keys() == expected.keys()
    for pair, share in expected.items():
        assert counted[pair] / N_DRAWS == pytest.approx(share, abs=TOLERANCE)


def test_shares_of_three_by_hand() -> None:
    """1 begins half of the battles, with 2 or 3 alike. 2 begins a quarter: 1 weighs two thirds of its rivals."""
    found = shares([Entrant(1, weight=2), Entrant(2), Entrant(3)])
    assert found[1, 2] == pytest.approx(1 / 2 * 1 / 2)
    assert found[2, 1] == pytest.approx(1 / 4 * 2 / 3)
    assert found[2, 3] == pytest.approx(1 / 4 * 1 / 3)


def test_a_boost_counts_for_beginning_and_not_for_being_a_rival() -> None:
    found = shares([Entrant(1, boost=5), Entrant(2), Entrant(3)])
    assert found[1, 2] == pytest.approx(5 / 7 / 2)
    assert found[2, 1] == found[2, 3] == pytest.approx(1 / 7 / 2)


def test_half_of_what_a_contestant_begins_is_with_its_targets() -> None:
    entrants = [Entrant(1, targets=frozenset({2, 3})), *(Entrant(key) for key in range(2, 12))]
    found = shares(entrants)
    begun = {pair: share for pair, share in found.items() if pair[0] == 1}
    with_targets = sum(share for (_, rival), share in begun.items() if rival in (2, 3))
    assert with_targets / sum(begun.values()) == pytest.approx(TARGET_SHARE)


def test_one_that_only_meets_targets_which_are_away_begins_nothing() -> None:
    strict = Entrant(1, targets=frozenset({9}), has_strict_targets=True)
    assert set(shares([strict, Entrant(2), Entrant(3)])) == {(2, 3), (3, 2)}


def test_each_stands_on_the_left_half_of_the_time() -> None:
    random = Random(3)
    n_left = sum(sides((1, 2), random) == (1, 2) for _ in range(N_DRAWS))
    assert n_left / N_DRAWS == pytest.approx(0.5, abs=TOLERANCE)


def test_who_began_does_not_tell_who_stands_on_the_left() -> None:
    random = Random(5)
    entrants = [Entrant(1, boost=1000), Entrant(2), Entrant(3)]
    n_left = sum(draw(entrants, random)[0] == 1 for _ in range(N_DRAWS))
    assert n_left / N_DRAWS == pytest.approx(0.5, abs=TOLERANCE)


def test_one_may_be_kept_for_another_opponent() -> None:
    entrants = [Entrant(key) for key in range(5)]
    random = Random(1)
    assert all(3 in draw(entrants, random, keeping=3) for _ in range(200))


def test_one_that_is_to_be_kept_and_is_away_does_not_stop_the_others() -> None:
    assert set(draw([Entrant(1), Entrant(2)], Random(0), keeping=9)) == {1, 2}


def test_adaptive_pairing_prefers_those_who_have_seldom_met() -> None:
    entrants = [Entrant(1), Entrant(2), Entrant(3)]
    n_met = {frozenset({1, 2}): 99, frozenset({1, 3}): 0, frozenset({2, 3}): 24}
    found = unordered(shares(entrants, n_met=n_met))
    total = gain(99) + gain(0) + gain(24)
    for pair, n in n_met.items():
        assert found[pair] == pytest.approx(gain(n) / total)
    counted = measured(entrants, n_met=n_met)
    assert counted[frozenset({1, 3})] / N_DRAWS == pytest.approx(gain(0) / total, abs=TOLERANCE)


def test_with_battles_shared_alike_adaptive_pairing_is_the_other() -> None:
    entrants = [Entrant(1, weight=2), Entrant(2), Entrant(3, boost=4)]
    everybody = {frozenset(pair): 10 for pair in product((1, 2, 3), repeat=2)}
    assert shares(entrants, n_met=everybody) == pytest.approx(shares(entrants))


def test_the_order_of_the_entrants_decides_nothing() -> None:
    entrants = [replace(Entrant(key), weight=key) for key in range(1, 6)]
    assert shares(entrants) == pytest.approx(shares(entrants[::-1]))
