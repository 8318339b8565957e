"""How sure the ratings are: the sandwich written out, the bootstrap, simulations whose truth is known."""

import numpy as np
import pytest

from apps.leaderboard.errors import BootstrapLost, IndependenceWanted
from apps.leaderboard.rating.battles import Battles, Cells
from apps.leaderboard.rating.board import POINTS_PER_LOGIT, BoardConfig, board_make, bootstrap_bounds, rate
from apps.leaderboard.rating.intervals import (
    Covariance,
    Intervals,
    bootstrap,
    covariance,
    intervals,
    percentiles,
    ranks,
    standard_errors,
)
from apps.leaderboard.rating.ties import TieModel
from tests.leaderboard.simulated import FIRST, battles_drawn, battles_of, fitted, strengths_drawn


@pytest.mark.parametrize("model", list(TieModel))
def test_the_sandwich_is_the_one_written_out_battle_by_battle(drawn: Battles, model: TieModel) -> None:
    found = fitted(drawn, model)
    rows = Cells(drawn.first, drawn.second, drawn.outcome, drawn.weight, np.ones(len(drawn)))
    at = found.layout.terms(rows, found.parameters)
    x = np.zeros((len(drawn), found.layout.size))
    g = np.zeros_like(x)
    every = np.arange(len(drawn))
    x[every, rows.first], x[every, rows.second] = 1, -1
    if model.has_parameter:
        g[:, -1] = 1
    information = x.T @ (at.info_dd[:, None] * x) + g.T @ (at.info_gg[:, None] * g)
    information += x.T @ (at.info_dg[:, None] * g) + g.T @ (at.info_dg[:, None] * x)
    bread = np.linalg.pinv(information, hermitian=True, rcond=1e-12)
    scores = at.score_d[:, None] * x + at.score_g[:, None] * g
    robust = covariance(drawn, drawn.cells(), found, Covariance.ROBUST)
    np.testing.assert_allclose(robust, bread @ scores.T @ scores @ bread * 1500 / 1499, atol=1e-10)

    by_voter = np.array([scores[drawn.voter == voter].sum(0) for voter in np.unique(drawn.voter)])
    clustered = covariance(drawn, drawn.cells(), found, Covariance.CLUSTERED)
    n = len(by_voter)
    written_out = bread @ by_voter.T @ by_voter @ bread * n / (n - 1)
    np.testing.assert_allclose(clustered, written_out, atol=1e-10)


def test_clustered_by_voter_is_wider_when_voters_repeat_themselves(drawn: Battles) -> None:
    """Every battle ten times by one voter says no more than once; only the clustered interval knows."""
    tenfold = [np.repeat(column, 10) for column in (drawn.first, drawn.second, drawn.outcome)]
    battles = Battles.of(
        drawn.names, first=tenfold[0], second=tenfold[1], outcome=tenfold[2], voter=np.repeat(np.arange(1500), 10)
    )
    once, many = fitted(drawn), fitted(battles)
    honest = standard_errors(covariance(drawn, drawn.cells(), once, Covariance.ROBUST))
    clustered = standard_errors(covariance(battles, battles.cells(), many, Covariance.CLUSTERED))
    robust = standard_errors(covariance(battles, battles.cells(), many, Covariance.ROBUST))
    np.testing.assert_allclose(clustered, honest, rtol=1e-6)
    np.testing.assert_allclose(robust, honest / np.sqrt(10), rtol=1e-3)


def test_the_bootstrap_agrees_with_the_sandwich_and_is_the_same_every_time(drawn: Battles) -> None:
    cells, found = drawn.cells(), fitted(drawn)
    drawn_anew = bootstrap(cells, found, rounds=200, seed=5)
    assert drawn_anew.tobytes() == bootstrap(cells, found, rounds=200, seed=5).tobytes()
    assert drawn_anew.tobytes() != bootstrap(cells, found, rounds=200, seed=6).tobytes()
    first = percentiles(drawn_anew, 0.95)
    sandwich = intervals(found.strengths, [covariance(drawn, cells, found, Covariance.ROBUST)], 0.95)
    np.testing.assert_allclose(first.upper - first.lower, sandwich.upper - sandwich.lower, rtol=0.2)


@pytest.mark.parametrize("kind", list(Covariance))
def test_ninety_five_of_a_hundred_intervals_hold_the_truth(kind: Covariance) -> None:
    """500 boards of 6 models and 600 battles without ties by 200 voters: 3,000 intervals."""
    random = np.random.default_rng(1729)
    held = []
    for _ in range(500):
        truth = strengths_drawn(6, random)
        battles = battles_drawn(truth, 600, random, n_voters=200)
        points = dict(zip(battles.names, 1000 + POINTS_PER_LOGIT * truth, strict=True))
        for row in board_make(battles, BoardConfig(covariance=kind)).rows:
            assert row.lower is not None and row.upper is not None
            held.append(row.lower <= points[row.name] <= row.upper)
    assert 0.93 <= np.mean(held) <= 0.97


def test_ranks_count_those_that_are_surely_better() -> None:
    bounds = Intervals(np.array([10.0, 8.0, 1.0, 0.0]), np.array([12.0, 11.0, 7.0, 3.0]))
    assert ranks(bounds).tolist() == [1, 1, 3, 3]


def test_a_bootstrap_of_too_few_battles_is_refused() -> None:
    few = battles_of(("a", "b", FIRST), ("b", "a", FIRST))
    with pytest.raises(BootstrapLost):
        bootstrap(few.cells(), fitted(few), rounds=50, seed=0)


def test_one_voter_is_no_cluster_and_is_refused() -> None:
    one = battles_of(("a", "b", FIRST), ("b", "a", FIRST), ("a", "b", FIRST), voters=[7, 7, 7])
    with pytest.raises(IndependenceWanted, match="only one of the voters"):
        board_make(one, BoardConfig(covariance=Covariance.CLUSTERED, min_battles=1))


def test_a_model_that_one_voter_alone_has_judged_is_no_surer_than_by_votes_that_are_independent() -> None:
    """At the maximum that voter's scores sum to 0, which the plain formula takes for certainty."""
    others = [("a", "b", FIRST), ("b", "a", FIRST)] * 20
    of_one = [("a", "c", FIRST), ("c", "a", FIRST)] * 5
    battles = battles_of(*others, *of_one, voters=[*range(40), *[99] * 10])
    config = {kind: BoardConfig(covariance=kind) for kind in (Covariance.ROBUST, Covariance.CLUSTERED)}
    wide = {kind: {row.name: row for row in board_make(battles, of).rows}["c"] for kind, of in config.items()}
    robust, clustered = wide[Covariance.ROBUST], wide[Covariance.CLUSTERED]
    assert robust.upper is not None and clustered.upper is not None and robust.lower is not None
    assert clustered.upper >= robust.upper > robust.lower + 100


def test_ratings_and_ranks_are_among_the_models_that_are_shown() -> None:
    """Of d, which has too few battles, neither the mean nor a rank nor an interval depends."""
    core = [(x, y, FIRST) for x, y in ("ab", "ab", "ba", "bc", "bc", "cb", "ac", "ac", "ca")] * 4
    many = battles_of(*core, ("d", "a", FIRST), ("a", "d", FIRST), ("d", "a", FIRST))
    board = board_make(many, BoardConfig(min_battles=10))
    alone = board_make(battles_of(*core), BoardConfig(min_battles=10))
    ratings = [row.rating for row in board.rows if row.rating is not None]
    assert sum(ratings) / 3 == pytest.approx(1000)
    assert [row.name for row in board.rows] == ["a", "b", "c", "d"]
    for row, other in zip(board.rows[:3], alone.rows, strict=True):
        assert (row.name, row.rank) == (other.name, other.rank)
        assert (row.rating, row.lower, row.upper) == pytest.approx((other.rating, other.lower, other.upper), rel=2e-3)


def test_bounds_by_resampling_are_in_the_points_of_the_board(drawn: Battles) -> None:
    rated = rate(drawn, BoardConfig(anchor="model-03", base=1200))
    bounds = bootstrap_bounds(rated, rounds=200, seed=1)
    rows = {row.name: row for row in board_make(drawn, rated.config).rows}
    for name, lower, upper in zip(rated.names_shown, bounds.lower, bounds.upper, strict=True):
        row = rows[name]
        assert row.lower is not None and row.upper is not None
        assert upper - lower == pytest.approx(row.upper - row.lower, rel=0.25)
        assert lower == pytest.approx(row.lower, abs=15)
