"""Whether the likelihood has a maximum: what has none is refused before a search, and what has one is not."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from apps.leaderboard.errors import NoMaximum, NotConnected, NotIdentified, TiesWanted
from apps.leaderboard.rating.battles import Battles, FloatArray
from apps.leaderboard.rating.existence import check_maximum
from apps.leaderboard.rating.layout import Layout, score
from apps.leaderboard.rating.ties import TieModel
from tests.leaderboard.simulated import FIRST, SECOND, TIE, battles_drawn, battles_of, fitted, strengths_drawn

TIE_MODELS = pytest.mark.parametrize("model", [TieModel.DAVIDSON, TieModel.RAO_KUPPER])


@TIE_MODELS
def test_wins_that_never_contradict_the_ties_have_no_maximum(model: TieModel) -> None:
    """Linked both ways by ties, and still: the wider ties are, and the further a and b apart, the likelier it all."""
    battles = battles_of(("a", "b", FIRST), ("b", "c", TIE), ("a", "c", TIE))
    assert fitted(battles).strengths[0] > 0
    with pytest.raises(NoMaximum, match="tie model half"):
        fitted(battles, model)


@TIE_MODELS
def test_a_win_against_the_order_gives_a_maximum(model: TieModel) -> None:
    fitted(battles_of(("a", "b", FIRST), ("b", "c", TIE), ("a", "c", TIE), ("b", "a", FIRST)), model)
    # a over c over b over a is such a win too, though no two beat each other.
    fitted(battles_of(("a", "b", FIRST), ("b", "c", FIRST), ("c", "a", FIRST), ("a", "c", TIE)), model)


def test_the_side_of_a_model_that_is_always_first_is_not_told_apart_from_it() -> None:
    battles = battles_of(("a", "b", FIRST), ("a", "b", SECOND))
    with pytest.raises(NotIdentified, match="always first"):
        fitted(battles, has_side=True)


def test_first_sides_that_always_win_have_no_maximum() -> None:
    battles = battles_of(("a", "b", FIRST), ("b", "a", FIRST))
    assert fitted(battles).strengths.tolist() == [0, 0]
    with pytest.raises(NoMaximum):
        fitted(battles, has_side=True)


@pytest.mark.parametrize(("model", "has_side"), list(product(TieModel, [False, True]))[1:])
def test_there_is_a_maximum_where_a_vanishing_ridge_leaves_the_answer_where_it_is(
    model: TieModel, has_side: bool
) -> None:
    """Small random boards: without a maximum, the answer goes on and on as the ridge gets smaller."""
    random = np.random.default_rng(8)
    layout = Layout(3, model, has_side)
    answers = {True: 0, False: 0}
    for _ in range(60):
        battles = battles_drawn(strengths_drawn(3, random), int(random.integers(3, 9)), random, tie=0.4)
        exists = _exists(battles, layout)
        if exists is None:
            continue
        answers[exists] += 1
        far, farther = (_size_of_answer(battles, layout, ridge) for ridge in (1e-4, 1e-7))
        assert (farther - far < 1) is exists
    assert min(answers.values()) > 5


def _exists(battles: Battles, layout: Layout) -> bool | None:
    """None where it is not asked: the models are not linked, the answers are many, or there are no ties to model."""
    try:
        check_maximum(battles.cells(), layout)
    except NoMaximum:
        return False
    except (NotConnected, NotIdentified, TiesWanted):
        return None
    return True


def _size_of_answer(battles: Battles, layout: Layout, ridge: float) -> float:
    """The largest parameter when large ones cost a little. The logarithm of g is sought, since it is above 0."""
    cells = battles.cells()
    is_log = layout.tie_model is TieModel.RAO_KUPPER

    def unpacked(x: FloatArray) -> FloatArray:
        return np.append(x[:-1], np.exp(x[-1])) if is_log else x

    def cost(x: FloatArray) -> tuple[float, FloatArray]:
        at = unpacked(x)
        terms = layout.terms(cells, at)
        slope = 2 * ridge * at - score(cells, layout, terms, cells.total)
        if is_log:
            slope[-1] *= at[-1]
        return float(ridge * at @ at - cells.total @ terms.loglik), slope

    found = minimize(cost, np.zeros(layout.size), jac=True, method="BFGS", options={"gtol": 1e-9})
    return float(np.abs(unpacked(found.x)).max())
