"""Who can be compared with whom: strongly connected components of "has beaten or drawn with".

The likelihood has a maximum exactly when there is one component. Source: Ford (1957), American Mathematical Monthly
64(8), 28-33; Zermelo (1929).
"""

from enum import StrEnum

import numpy as np

from apps.leaderboard.rating.battles import BoolArray, Cells, FloatArray, IntArray, Outcome


class Standing(StrEnum):
    """Why a model has a rating, or none."""

    RATED = "rated"
    UNDEFEATED = "undefeated"
    WINLESS = "winless"
    APART = "apart"
    FEW_BATTLES = "few_battles"


def win_matrix(cells: Cells, n_models: int) -> FloatArray:
    """wins[i, j]: weight of battles that i won against j, ties as half a win each. Shape [M, M]."""
    wins = np.zeros((n_models, n_models))
    np.add.at(wins, (cells.first, cells.second), cells.total * cells.score)
    np.add.at(wins, (cells.second, cells.first), cells.total * (1 - cells.score))
    return wins


def decided_matrix(cells: Cells, n_models: int) -> FloatArray:
    """The same without ties."""
    decided = np.zeros((n_models, n_models))
    won, lost = cells.outcome == Outcome.FIRST, cells.outcome == Outcome.SECOND
    np.add.at(decided, (cells.first[won], cells.second[won]), cells.total[won])
    np.add.at(decided, (cells.second[lost], cells.first[lost]), cells.total[lost])
    return decided


def components(wins: FloatArray) -> IntArray:
    """A number for each model, the same for those of one strongly connected component. Tarjan, without recursion."""
    followers = [np.flatnonzero(row).tolist() for row in wins > 0]
    found = np.full(len(wins), -1, dtype=np.int64)
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    n_found = 0
    for root in range(len(wins)):
        work = [] if root in index else [(root, iter(followers[root]))]
        while work:
            node, ahead = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
            fresh = next((other for other in ahead if _is_fresh(other, node, index, low, found)), None)
            if fresh is not None:
                work.append((fresh, iter(followers[fresh])))
                continue
            work.pop()
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
            if low[node] == index[node]:
                n_found = _close(node, stack, found, n_found)
    return found


def _is_fresh(other: int, node: int, index: dict[int, int], low: dict[int, int], found: IntArray) -> bool:
    if other not in index:
        return True
    if found[other] < 0:
        low[node] = min(low[node], index[other])
    return False


def _close(node: int, stack: list[int], found: IntArray, number: int) -> int:
    while True:
        member = stack.pop()
        found[member] = number
        if member == node:
            return number + 1


def largest(found: IntArray, wins: FloatArray) -> BoolArray:
    """Members of the component with most models; of two such, the one with more battles, then the earlier name."""
    played = wins.sum(1) + wins.sum(0)
    numbers, first = np.unique(found, return_index=True)
    sizes = np.bincount(found)
    battles = np.bincount(found, weights=played)
    best = max(numbers, key=lambda n: (sizes[n], battles[n], -first[n]))
    return np.asarray(found == best)


def standings(wins: FloatArray) -> list[Standing]:
    """Of each model. Only those that are rated get a number; one against another component's would mean nothing."""
    rated = largest(components(wins), wins)
    won, lost = wins.sum(1), wins.sum(0)
    return [
        Standing.RATED
        if rated[i]
        else Standing.UNDEFEATED
        if won[i] > 0 and lost[i] == 0
        else Standing.WINLESS
        if lost[i] > 0 and won[i] == 0
        else Standing.APART
        for i in range(len(wins))
    ]
