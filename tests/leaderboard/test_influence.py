"""Boards without one of their voters."""

import numpy as np

from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.influence import leave_one_voter_out
from apps.leaderboard.rating.ties import TieModel
from tests.leaderboard.simulated import FIRST, TIE, battles_drawn, battles_of, fitted, strengths_drawn


def test_whoever_moves_the_board_most_is_found() -> None:
    random = np.random.default_rng(11)
    fair = battles_drawn(strengths_drawn(6, random), 900, random, n_voters=90)
    faked = np.zeros(60, dtype=np.int64)
    battles = Battles.of(
        fair.names,
        first=np.concatenate((fair.first, faked)),
        second=np.concatenate((fair.second, faked + 5)),
        outcome=np.concatenate((fair.outcome, faked)),
        voter=np.concatenate((fair.voter, faked + 777)),
    )
    influences = leave_one_voter_out(battles, fitted(battles), top=5)
    assert (influences[0].voter, influences[0].n_battles) == (777, 60)
    assert influences[0].shift is not None
    np.testing.assert_allclose(influences[0].shift, fitted(fair).strengths - fitted(battles).strengths, atol=1e-8)
    assert influences[0].largest > 2 * influences[1].largest


def test_a_voter_without_whom_there_is_no_board_comes_first() -> None:
    first, second = np.array([0, 0, 1]), np.array([1, 1, 0])
    battles = Battles.of(
        ("a", "b"), first=first, second=second, outcome=np.zeros(3, dtype=np.int64), voter=np.array([7, 8, 9])
    )
    influences = leave_one_voter_out(battles, fitted(battles))
    assert (influences[0].voter, influences[0].shift, influences[0].largest) == (9, None, float("inf"))


def test_whoever_alone_judged_a_model_is_found_among_many_who_move_others_a_little() -> None:
    """The first guess takes a sole voter for one who moves nothing."""
    random = np.random.default_rng(2)
    fair = battles_drawn(strengths_drawn(4, random), 400, random, n_voters=40)
    columns = zip(fair.first, fair.second, fair.outcome, strict=True)
    rows = [(fair.names[i], fair.names[j], int(won)) for i, j, won in columns]
    of_one = [("model-00", "new", FIRST), ("new", "model-00", FIRST)]
    battles = battles_of(*rows, *of_one, voters=[*fair.voter.tolist(), 50, 50])
    found = leave_one_voter_out(battles, fitted(battles), top=3)
    assert (found[0].voter, found[0].shift) == (50, None)
    assert len(found) == 3


def test_a_voter_without_whom_there_are_no_ties_for_a_tie_model_is_told_of_and_no_error() -> None:
    rows = [("a", "b", FIRST), ("b", "a", FIRST), ("a", "b", FIRST), ("a", "b", TIE)]
    battles = battles_of(*rows, voters=[1, 2, 3, 4])
    found = leave_one_voter_out(battles, fitted(battles, TieModel.DAVIDSON))
    assert 4 in {influence.voter for influence in found if influence.shift is None}
