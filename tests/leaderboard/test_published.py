"""Our numbers are those that the literature prints, to the digits it prints."""

import numpy as np

from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.fit import Fit, fit, mm
from apps.leaderboard.rating.graph import win_matrix
from apps.leaderboard.rating.intervals import Covariance, covariance, inverse, standard_errors
from apps.leaderboard.rating.ties import TieModel
from tests.leaderboard import published


def errors_against(found: Fit, bread: np.ndarray, reference: int) -> np.ndarray:
    """Standard errors of differences to one of them."""
    m = found.layout.n_models
    contrast = np.eye(m)
    contrast[:, reference] -= 1
    return np.sqrt(np.diag(contrast @ bread[:m, :m] @ contrast.T))


def test_citations_of_journals_are_agrestis_against_biometrika_and_against_the_mean() -> None:
    cells = published.citations()
    found = fit(cells, 4)
    bread = inverse(cells, found)
    np.testing.assert_allclose(found.strengths - found.strengths[0], published.CITATIONS_ABILITIES, atol=6e-8)
    np.testing.assert_allclose(errors_against(found, bread, 0), published.CITATIONS_ERRORS, atol=6e-8)
    np.testing.assert_allclose(found.strengths, published.CITATIONS_CENTRED_ABILITIES, atol=6e-8)
    np.testing.assert_allclose(standard_errors(bread), published.CITATIONS_CENTRED_ERRORS, atol=6e-8)


def test_the_slow_and_sure_search_finds_the_same_citations() -> None:
    strengths, _ = mm(win_matrix(published.citations(), 4))
    np.testing.assert_allclose(strengths, published.CITATIONS_CENTRED_ABILITIES, atol=6e-8)


def test_baseball_is_agrestis_without_home_advantage() -> None:
    cells = published.baseball()
    found = fit(cells, 7)
    against_last = found.strengths - found.strengths[-1]
    assert tuple(np.sort(against_last[:-1]).round(2)) == published.BASEBALL_SORTED
    errors = errors_against(found, inverse(cells, found), 6)[:-1]
    assert set(errors.round(1)) == {0.3}


def test_baseball_is_agrestis_with_home_advantage() -> None:
    found = fit(published.baseball(), 7, has_side=True)
    worths = np.exp(found.strengths)
    assert tuple(np.sort(worths / worths.sum()).round(3)) == published.BASEBALL_HOME_SHARES
    assert found.side is not None
    assert round(found.side, 3) == published.BASEBALL_HOME


def test_puddings_are_davidsons_with_his_ties() -> None:
    found = fit(published.pudding(), 6, tie_model=TieModel.DAVIDSON)
    worths = np.exp(found.strengths)
    # He stopped after 7 rounds, two units of the fifth digit before the maximum.
    np.testing.assert_allclose(worths / worths.sum(), published.PUDDING_WORTHS, atol=3e-5)
    assert found.tie is not None
    assert abs(found.tie - published.PUDDING_NU) < 3e-5


def test_ties_as_half_wins_change_no_order_of_the_puddings_by_more_than_a_near_draw() -> None:
    """Davidson (1970), corollary: with equal numbers of battles the order is that of the points; here nearly equal."""
    half = fit(published.pudding(), 6)
    for model in (TieModel.DAVIDSON, TieModel.RAO_KUPPER):
        other = fit(published.pudding(), 6, tie_model=model)
        assert list(np.argsort(other.strengths)) == list(np.argsort(half.strengths))


def test_the_model_covariance_is_what_inverse_gives() -> None:
    cells = published.citations()
    found = fit(cells, 4)
    index = np.repeat(np.arange(len(cells.first)), cells.count.astype(int))
    battles = Battles.of(
        published.CITATIONS, first=cells.first[index], second=cells.second[index], outcome=cells.outcome[index]
    )
    matrix = covariance(battles, battles.cells(), found, Covariance.MODEL)
    np.testing.assert_allclose(standard_errors(matrix), published.CITATIONS_CENTRED_ERRORS, atol=6e-8)
