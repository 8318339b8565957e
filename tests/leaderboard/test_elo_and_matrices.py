"""Online Elo, and the tables of pairs."""

import numpy as np
import pytest

from apps.leaderboard.errors import TimesWanted
from apps.leaderboard.rating.battles import Battles, Outcome
from apps.leaderboard.rating.elo import elo_bootstrap, elo_in_time, elo_updated, online_elo
from apps.leaderboard.rating.fit import fit
from apps.leaderboard.rating.matrices import (
    Pair,
    average_win_rates,
    battle_counts,
    pairs,
    predicted_win_rates,
    win_fractions,
)
from tests.leaderboard.simulated import battles_drawn, strengths_drawn

SCORES = {0: 1.0, 1: 0.0, 2: 0.5}


def battles() -> Battles:
    """Of three: a beat b as A twice and lost as B once; a and c tied once; b and c never met."""
    first, second, outcome = np.array([0, 0, 1, 0]), np.array([1, 1, 0, 2]), np.array([0, 0, 0, 2])
    return Battles.of(("a", "b", "c"), first=first, second=second, outcome=outcome)


def test_a_win_against_an_equal_gives_half_of_k() -> None:
    assert elo_updated(1000, 1000, 1.0) == (1002, 998)
    assert elo_updated(1000, 1000, 0.5) == (1000, 1000)


def test_four_hundred_points_are_ten_to_one() -> None:
    assert elo_updated(1400, 1000, 1.0)[0] - 1400 == pytest.approx(4 / 11)


def test_elo_goes_on_from_where_it_was_and_depends_on_the_order() -> None:
    rows = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 1.0), ("a", "c", 0.5)]
    assert online_elo(rows[2:], start=online_elo(rows[:2])) == online_elo(rows)
    assert online_elo(rows[::-1]) != online_elo(rows)


def test_elo_of_battles_is_by_their_times_and_not_by_their_rows() -> None:
    first, second, outcome = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 2]), np.array([0, 0, 0, 2])
    time = np.array([1.0, 2.0, 3.0, 4.0])
    order = np.array([2, 0, 3, 1])
    names = ("a", "b", "c")
    battles = Battles.of(names, first=first, second=second, outcome=outcome, time=time)
    shuffled = Battles.of(names, first=first[order], second=second[order], outcome=outcome[order], time=time[order])
    assert elo_in_time(shuffled) == elo_in_time(battles)
    assert elo_in_time(battles) == online_elo([("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 1.0), ("a", "c", 0.5)])
    with pytest.raises(TimesWanted, match="tstamp"):
        elo_in_time(Battles.of(names, first=first, second=second, outcome=outcome))


def test_the_median_of_resampled_elos_is_near_the_ratings_and_the_same_every_time() -> None:
    random = np.random.default_rng(5)
    truth = strengths_drawn(5, random)
    drawn = battles_drawn(truth, 6000, random)
    medians = np.median(elo_bootstrap(drawn, rounds=50, seed=3), axis=0)
    np.testing.assert_allclose(medians - medians.mean(), truth * 400 / np.log(10), atol=30)
    again = elo_bootstrap(drawn.where(np.ones(6000, dtype=bool)), rounds=50, seed=3)
    assert np.median(again, axis=0).tobytes() == medians.tobytes()


def test_win_fractions_leave_ties_out_and_take_both_sides() -> None:
    fractions = win_fractions(pairs(battles().cells(), 3), 3)
    assert (fractions[0, 1], fractions[1, 0]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert np.isnan(fractions[0, 2]) and np.isnan(fractions[1, 2])
    assert average_win_rates(fractions)[0] == pytest.approx(2 / 3)
    assert np.isnan(average_win_rates(fractions)[2])


def test_counts_are_with_and_without_ties() -> None:
    found = pairs(battles().cells(), 3)
    assert found == [Pair(0, 1, 2, 1, 0), Pair(0, 2, 0, 0, 1)]
    assert battle_counts(found, 3).tolist() == [[0, 3, 1], [3, 0, 0], [1, 0, 0]]
    assert battle_counts(found, 3, with_ties=False).tolist() == [[0, 3, 0], [3, 0, 0], [0, 0, 0]]


def test_predicted_rates_give_each_model_the_points_it_has() -> None:
    """The likelihood equations: expected points are observed points."""
    cells = battles().cells()
    counts = battle_counts(pairs(cells, 3), 3)
    expected = np.nansum(counts * predicted_win_rates(fit(cells, 3).strengths), axis=1)
    np.testing.assert_allclose(expected, [2.5, 1, 0.5])


def test_outcomes_have_the_scores_that_elo_wants() -> None:
    cells = battles().cells()
    assert [SCORES[int(outcome)] for outcome in cells.outcome] == cells.score.tolist()
    assert [int(outcome) for outcome in Outcome] == [0, 1, 2]
