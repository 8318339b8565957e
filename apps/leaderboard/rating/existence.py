"""Whether the likelihood has a maximum, and only one. Asked before a fit, so that no search runs off to infinity.

It is concave, so it has one unless there is a direction in which no battle becomes less likely however far one goes.
Far out, a win is as likely as can be when d >= g, and a tie when |d| <= g (both tie models; without one, g is 0). That
is a set of linear inequalities. Source: Albert and Anderson (1984), Biometrika 71(1), 1-10, for the logistic case.
"""

from typing import TYPE_CHECKING

import numpy as np

from apps.leaderboard.errors import NoBattles, NoMaximum, NotConnected, NotIdentified, TiesWanted
from apps.leaderboard.rating.battles import Cells, Outcome
from apps.leaderboard.rating.graph import components, decided_matrix, win_matrix
from apps.leaderboard.rating.layout import Layout, information, pinned
from apps.leaderboard.rating.ties import TieModel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SLACK = 1e-7
_RANK = 1e-10


def check_maximum(cells: Cells, layout: Layout) -> None:
    """Of strengths, ties and sides; what style adds shows in the search. Raises: RatingRefused."""
    if not len(cells.first):
        raise NoBattles
    _check_connected(cells, layout.n_models)
    _check_ties(cells, layout.tie_model)
    if layout.size == layout.n_models:
        return
    _check_identified(cells, layout)
    if not _is_bounded_by_pairs(cells, layout) and _has_way_out(cells, layout):
        raise NoMaximum


def _check_connected(cells: Cells, n_models: int) -> None:
    n_components = len(np.unique(components(win_matrix(cells, n_models))))
    if n_components > 1:
        raise NotConnected(n_components=n_components)


def _check_ties(cells: Cells, tie_model: TieModel) -> None:
    ties = float(cells.total[cells.outcome == Outcome.TIE].sum())
    if tie_model.has_parameter and not 0 < ties < float(cells.total.sum()):
        raise TiesWanted(model=tie_model.value)


def _check_identified(cells: Cells, layout: Layout) -> None:
    """Two parameters must not do the same, as sides do where one model is always the first."""
    at = layout.terms(cells, layout.start())
    held = pinned(information(cells, layout, at, cells.total), layout.n_models)
    scale = np.sqrt(np.diag(held))
    if (scale == 0).any() or np.linalg.matrix_rank(held / np.outer(scale, scale), tol=_RANK, hermitian=True) < len(
        held
    ):
        raise NotIdentified


def _is_bounded_by_pairs(cells: Cells, layout: Layout) -> bool:
    """Two that have beaten each other, on both sides if sides matter, leave no way out: the quick and usual answer."""
    m = layout.n_models
    if not layout.has_side:
        decided = decided_matrix(cells, m)
        return bool(((decided > 0) & (decided.T > 0)).any())
    won, lost = np.zeros((m, m), dtype=bool), np.zeros((m, m), dtype=bool)
    for matrix, outcome in ((won, Outcome.FIRST), (lost, Outcome.SECOND)):
        rows = cells.outcome == outcome
        matrix[cells.first[rows], cells.second[rows]] = True
    both = won & lost
    return bool((both & both.T).any())


def _has_way_out(cells: Cells, layout: Layout) -> bool:
    """Whether some inequality can be more than just kept, by a direction that keeps all of them."""
    from scipy.optimize import linprog  # here, because every process of the site has this module, and few rate

    kept = _inequalities(cells, layout)
    bounds = [(-1.0, 1.0)] * kept.shape[1]
    found = linprog(-kept.sum(axis=0), A_ub=-kept, b_ub=np.zeros(kept.shape[0]), bounds=bounds, method="highs")
    return bool(found.status != 0 or -found.fun > _SLACK)


def _inequalities(cells: Cells, layout: Layout) -> "csr_array":
    """Rows r with r . direction >= 0: of strengths, the side if there is one, and g if there is one."""
    from scipy.sparse import coo_array, csr_array, vstack  # here, as above

    m, n = layout.n_models, len(cells.first)
    every, ones = np.arange(n), np.ones(n)
    columns = [(cells.first, ones), (cells.second, -ones)]
    if layout.has_side:
        columns.append((np.full(n, m), ones))
    rows, indexes, values = (
        np.concatenate(parts) for parts in zip(*((every, index, value) for index, value in columns), strict=True)
    )
    width = m + layout.has_side + layout.tie_model.has_parameter
    d = coo_array((values, (rows, indexes)), shape=(n, width)).tocsr()
    g = csr_array(d.shape)
    if layout.tie_model.has_parameter:
        g = coo_array((ones, (every, np.full(n, width - 1))), shape=d.shape).tocsr()
    first, second, tie = (np.flatnonzero(cells.outcome == outcome) for outcome in Outcome)
    return vstack((d[first] - g[first], -d[second] - g[second], g[tie] - d[tie], g[tie] + d[tie]), format="csr")
