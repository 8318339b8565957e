"""Fits against slow references and other libraries on random boards, and what is refused."""

import choix
import evalica
import numpy as np
import pytest

from apps.leaderboard.errors import (
    AnchorUnknown,
    BattlesMalformed,
    ConfigWrong,
    NoBattles,
    NotConnected,
    NotConverged,
    TiesWanted,
    TooFewBattles,
    TooManyModels,
)
from apps.leaderboard.rating.battles import MAX_MODELS, Battles
from apps.leaderboard.rating.board import BoardConfig, board_make
from apps.leaderboard.rating.fit import fit, mm
from apps.leaderboard.rating.graph import Standing, components, win_matrix
from apps.leaderboard.rating.intervals import (
    Covariance,
)
from apps.leaderboard.rating.ties import TieModel, terms
from tests.leaderboard.simulated import FIRST, SECOND, TIE, battles_of, fitted

ALL_TIE_MODELS = pytest.mark.parametrize("model", list(TieModel))


def test_evalica_and_choix_find_the_same_strengths(drawn: Battles) -> None:
    found = fitted(drawn).strengths
    names = {FIRST: evalica.Winner.X, SECOND: evalica.Winner.Y, TIE: evalica.Winner.Draw}
    theirs = evalica.bradley_terry(
        [drawn.names[i] for i in drawn.first],
        [drawn.names[i] for i in drawn.second],
        [names[int(outcome)] for outcome in drawn.outcome],
        tolerance=1e-12,
        limit=100_000,
    )
    logits = np.log(theirs.scores.reindex(drawn.names).to_numpy())
    np.testing.assert_allclose(found, logits - logits.mean(), atol=1e-6)

    decided = drawn.outcome != TIE
    only = Battles.of(
        drawn.names, first=drawn.first[decided], second=drawn.second[decided], outcome=drawn.outcome[decided]
    )
    rows = zip(only.first, only.second, only.outcome, strict=True)
    pairs = [(i, j) if won == FIRST else (j, i) for i, j, won in rows]
    np.testing.assert_allclose(fitted(only).strengths, choix.opt_pairwise(8, pairs, alpha=0, tol=1e-10), atol=1e-5)


def test_newton_and_the_slow_and_sure_search_agree(drawn: Battles) -> None:
    strengths, _ = mm(win_matrix(drawn.cells(), drawn.n_models))
    np.testing.assert_allclose(fitted(drawn).strengths, strengths, atol=1e-8)
    fallen_back = fit(drawn.cells(), drawn.n_models, newton_rounds=1)
    np.testing.assert_allclose(fallen_back.strengths, strengths, atol=1e-12)


@ALL_TIE_MODELS
def test_scores_and_information_are_the_derivatives_of_the_likelihood(model: TieModel) -> None:
    d, g, step = np.linspace(-2, 2, 9), 0.7, 1e-5
    for outcome in (FIRST, SECOND, TIE):
        kinds = np.full(len(d), outcome)
        at = terms(model, d, g, kinds)
        up_d, down_d = terms(model, d + step, g, kinds), terms(model, d - step, g, kinds)
        np.testing.assert_allclose(at.score_d, (up_d.loglik - down_d.loglik) / (2 * step), atol=1e-8)
        np.testing.assert_allclose(at.info_dd, -(up_d.score_d - down_d.score_d) / (2 * step), atol=1e-8)
        if model.has_parameter:
            up_g, down_g = terms(model, d, g + step, kinds), terms(model, d, g - step, kinds)
            np.testing.assert_allclose(at.score_g, (up_g.loglik - down_g.loglik) / (2 * step), atol=1e-8)
            np.testing.assert_allclose(at.info_gg, -(up_g.score_g - down_g.score_g) / (2 * step), atol=1e-7)
            np.testing.assert_allclose(at.info_dg, -(up_g.score_d - down_g.score_d) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("model", [TieModel.DAVIDSON, TieModel.RAO_KUPPER])
def test_the_three_chances_of_a_tie_model_sum_to_one(model: TieModel) -> None:
    d = np.linspace(-3, 3, 13)
    chances = sum(np.exp(terms(model, d, 0.4, np.full(13, outcome)).loglik) for outcome in (FIRST, SECOND, TIE))
    np.testing.assert_allclose(chances, 1.0)


@ALL_TIE_MODELS
def test_any_order_of_rows_gives_the_same_bytes(drawn: Battles, model: TieModel) -> None:
    order = np.random.default_rng(9).permutation(len(drawn))
    shuffled = Battles.of(
        drawn.names,
        first=drawn.first[order],
        second=drawn.second[order],
        outcome=drawn.outcome[order],
        voter=drawn.voter[order],
    )
    for kind in Covariance:
        config = BoardConfig(tie_model=model, covariance=kind)
        assert board_make(drawn, config) == board_make(shuffled, config)


def test_a_weight_of_two_is_two_battles_in_the_rating_and_one_in_the_count() -> None:
    weighted = battles_of(("a", "b", FIRST), ("a", "b", SECOND), weights=[2.0, 1.0])
    repeated = battles_of(("a", "b", FIRST), ("a", "b", FIRST), ("a", "b", SECOND))
    np.testing.assert_allclose(fitted(weighted).strengths, fitted(repeated).strengths)
    assert len(weighted) == 2


def test_undefeated_winless_and_apart_get_no_number() -> None:
    core = [("a", "b", FIRST), ("b", "a", FIRST), ("b", "c", FIRST), ("c", "a", FIRST)]
    pair = [("x", "y", TIE)]
    board = board_make(battles_of(*core, ("god", "a", FIRST), ("a", "dud", FIRST), *pair), BoardConfig(min_battles=1))
    standing = {row.name: row.standing for row in board.rows}
    assert standing == {
        **dict.fromkeys("abc", Standing.RATED),
        "god": Standing.UNDEFEATED,
        "dud": Standing.WINLESS,
        **dict.fromkeys("xy", Standing.UNDECIDED),
    }
    assert all((row.rating is None) == (row.standing is not Standing.RATED) for row in board.rows)
    assert (board.n_battles, board.n_rated_battles) == (7, 4)


def test_a_model_with_few_battles_is_listed_without_a_rank() -> None:
    rows = [("a", "b", FIRST), ("b", "a", FIRST)] * 5 + [("c", "a", FIRST), ("a", "c", FIRST)]
    board = board_make(battles_of(*rows), BoardConfig(min_battles=5))
    assert {row.name: row.standing for row in board.rows}["c"] is Standing.FEW_BATTLES
    assert board.rows[-1].rank is None


def test_one_tie_puts_nobody_on_a_board() -> None:
    """Half a win each is level without any spread: a rank would be a claim to know."""
    with pytest.raises(NoBattles):
        board_make(battles_of(("a", "b", TIE)), BoardConfig(min_battles=1))


def test_a_model_that_only_tied_gets_no_rank_and_groups_that_only_ties_link_are_apart() -> None:
    one = [("a", "b", FIRST), ("b", "a", FIRST), ("b", "c", FIRST), ("c", "b", FIRST)]
    other = [("x", "y", FIRST), ("y", "x", FIRST)]
    board = board_make(battles_of(*one, *other, ("a", "t", TIE), ("b", "x", TIE)), BoardConfig(min_battles=1))
    assert {row.name: row.standing for row in board.rows} == {
        **dict.fromkeys("abc", Standing.RATED),
        **dict.fromkeys("xy", Standing.APART),
        "t": Standing.UNDECIDED,
    }


@pytest.mark.parametrize(
    "wrong",
    [{"base": float("nan")}, {"base": float("inf")}, {"base": 1e9}, {"confidence": 1 - 1e-17}, {"confidence": 0.0},
     {"confidence": float("nan")}, {"min_battles": 0}],
)  # fmt: skip
def test_numbers_that_would_spoil_a_board_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigWrong):
        BoardConfig(**wrong)  # type: ignore[arg-type]  # of one of the fields


def test_too_few_battles_for_two_ranks_are_refused_with_the_way_out() -> None:
    few = battles_of(("a", "b", FIRST), ("b", "a", FIRST))
    with pytest.raises(TooFewBattles, match="lower --min-battles"):
        board_make(few, BoardConfig())


def test_an_anchor_moves_all_numbers_and_neither_widths_nor_ranks(drawn: Battles) -> None:
    free = {row.name: row for row in board_make(drawn, BoardConfig()).rows}
    held = {row.name: row for row in board_make(drawn, BoardConfig(anchor="model-03", base=1114)).rows}
    assert held["model-03"].rating == pytest.approx(1114)
    for name, row in free.items():
        other = held[name]
        assert row.rating is not None and other.rating is not None and row.lower is not None
        assert other.lower is not None
        assert other.rating - other.lower == pytest.approx(row.rating - row.lower)
        assert other.rank == row.rank
    with pytest.raises(AnchorUnknown):
        board_make(drawn, BoardConfig(anchor="nobody"))


def test_all_ties_are_equal_strengths_with_a_half_win_and_refused_by_a_tie_model() -> None:
    ties = battles_of(("a", "b", TIE), ("b", "c", TIE))
    assert fitted(ties).strengths.tolist() == [0, 0, 0]
    for model in (TieModel.DAVIDSON, TieModel.RAO_KUPPER):
        with pytest.raises(TiesWanted):
            fitted(ties, model)


def test_one_battle_and_none_are_refused() -> None:
    with pytest.raises(NoBattles):
        board_make(battles_of(("a", "b", FIRST)), BoardConfig())
    with pytest.raises(NotConnected):
        fitted(battles_of(("a", "b", FIRST)))
    none = np.array([], dtype=np.int64)
    with pytest.raises(NoBattles):
        board_make(Battles.of(("a", "b"), first=none, second=none, outcome=none), BoardConfig())


def test_a_search_that_does_not_end_is_refused() -> None:
    with pytest.raises(NotConverged):
        mm(np.array([[0.0, 999.0], [1.0, 0.0]]), max_rounds=1)
    near = battles_of(("a", "b", FIRST), ("b", "a", FIRST), ("a", "b", TIE), ("b", "a", TIE))
    with pytest.raises(NotConverged):
        fit(near.cells(), 2, tie_model=TieModel.DAVIDSON, newton_rounds=1)


@pytest.mark.parametrize(
    ("column", "value"), [("first", 2), ("first", -1), ("second", 0), ("outcome", 3), ("weight", -1.0)]
)
def test_arrays_that_are_no_battles_are_refused(column: str, value: float) -> None:
    columns = {"first": [0], "second": [1], "outcome": [0], "weight": [1.0]} | {column: [value]}
    with pytest.raises(BattlesMalformed):
        Battles.of(
            ("a", "b"),
            first=np.array(columns["first"], dtype=np.int64),
            second=np.array(columns["second"], dtype=np.int64),
            outcome=np.array(columns["outcome"], dtype=np.int64),
            weight=np.array(columns["weight"], dtype=float),
        )


def test_ten_thousand_models_are_refused_by_name() -> None:
    none = np.array([], dtype=np.int64)
    with pytest.raises(TooManyModels, match=str(MAX_MODELS)):
        Battles.of(tuple(map(str, range(10_000))), first=none, second=none, outcome=none)


def test_components_are_those_of_reachability_both_ways() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        wins = (random.random((9, 9)) < 0.13).astype(float)
        np.fill_diagonal(wins, 0)
        reach = np.linalg.matrix_power(wins + np.eye(9), 9) > 0
        found = components(wins)
        np.testing.assert_array_equal(found[:, None] == found[None, :], reach & reach.T)
