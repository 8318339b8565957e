"""Who can be compared with whom: strongly connected components of "has beaten or drawn with".

The likelihood has a maximum exactly when there is one component. Source: Ford (1957), American Mathematical Monthly
64(8), 28-33; Zermelo (1929). Battles that were decided must link it too: half wins alone put two models level with no
spread at all, as if that were known for certain.
"""

from enum import StrEnum

import numpy as np

from apps.leaderboard.rating.battles import BoolArray, Cells, FloatArray, IntArray, Outcome


class Standing(StrEnum):
    """Why a model has a rating, or none."""

    RATED = "rated"
    UNDEFEATED = "undefeated"
    WINLESS = "winless"
    UNDECIDED = "undecided"
    APART = "apart"
    FEW_BATTLES = "few_battles"


def win_matrix(cells: Cells, n_models: int) -> FloatArray:
    """wins[i, j]: weight of battles that i won against j, ties as half a win each. Shape [M, M]."""
    won, lost = cells.total * cells.score, cells.total * (1 - cells.score)
    return _summed(cells, n_models, won) + _summed(cells, n_models, lost).T


def decided_matrix(cells: Cells, n_models: int) -> FloatArray:
    """The same without ties."""
    won, lost = (cells.total * (cells.outcome == outcome) for outcome in (Outcome.FIRST, Outcome.SECOND))
    return _summed(cells, n_models, won) + _summed(cells, n_models, lost).T


def components(wins: FloatArray) -> IntArray:
    """A number for each model, the same for those of one strongly connected component."""
    return _components(wins, "strong")


def groups(wins: FloatArray, decided: FloatArray) -> IntArray:
    """The same for those that also decided battles link, among themselves."""
    found = np.zeros(len(wins), dtype=np.int64)
    while True:
        together = found[:, None] == found[None, :]
        strong, linked = components(wins * together), _components(decided * together, "weak")
        finer = np.unique(strong * (len(wins) + 1) + linked, return_inverse=True)[1]
        if finer.max(initial=0) == found.max(initial=0):
            return found
        found = finer


def largest(found: IntArray, wins: FloatArray) -> BoolArray:
    """Members of the group with most models; of two such, the one with more battles, then the earlier name."""
    played = wins.sum(1) + wins.sum(0)
    numbers, first = np.unique(found, return_index=True)
    sizes = np.bincount(found)
    battles = np.bincount(found, weights=played)
    best = max(numbers, key=lambda n: (sizes[n], battles[n], -first[n]))
    return np.asarray(found == best)


def standings(cells: Cells, n_models: int) -> list[Standing]:
    """Of each model. Only those that are rated get a number; one against another group's would mean nothing."""
    wins, decided = win_matrix(cells, n_models), decided_matrix(cells, n_models)
    rated = largest(groups(wins, decided), wins)
    won, lost = wins.sum(1), wins.sum(0)
    is_decided = decided.sum(0) + decided.sum(1) > 0
    return [
        Standing.RATED
        if rated[i]
        else Standing.UNDEFEATED
        if won[i] > 0 and lost[i] == 0
        else Standing.WINLESS
        if lost[i] > 0 and won[i] == 0
        else Standing.APART
        if is_decided[i]
        else Standing.UNDECIDED
        for i in range(n_models)
    ]


def _summed(cells: Cells, n_models: int, values: FloatArray) -> FloatArray:
    """By first and second, shape [M, M]."""
    flat = np.bincount(cells.first * n_models + cells.second, values, minlength=n_models**2)
    return np.asarray(flat, dtype=np.float64).reshape(n_models, n_models)


def _components(links: FloatArray, connection: str) -> IntArray:
    from scipy.sparse import csr_array  # here, because every process of the site has this module, and few rate
    from scipy.sparse.csgraph import connected_components

    _, found = connected_components(csr_array(links > 0), directed=True, connection=connection)
    return np.asarray(found, dtype=np.int64)
