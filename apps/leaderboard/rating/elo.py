"""Online Elo: a live number after each vote. It depends on the order of the votes; the board does not.

Source: FastChat 0.2.36, fastchat/serve/monitor/elo_analysis.py, compute_elo and get_bootstrap_result_elo.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from apps.leaderboard.errors import TimesWanted
from apps.leaderboard.rating.battles import Battles, FloatArray

K = 4.0
SCALE = 400.0
START = 1000.0


def elo_expected(rating: float, other: float) -> float:
    """What the first one is expected to get of a battle, a tie counted half."""
    return 1 / (1 + 10 ** ((other - rating) / SCALE))


def elo_updated(first: float, second: float, score: float, *, k: float = K) -> tuple[float, float]:
    """Both ratings after a battle of which the first one got `score`: 1, 0 or a half."""
    step = k * (score - elo_expected(first, second))
    return first + step, second - step


def online_elo(
    battles: Iterable[tuple[str, str, float]], *, k: float = K, start: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Ratings after battles (first, second, score of the first) in the order of time."""
    ratings = dict(start or {})
    for first, second, score in battles:
        of_first, of_second = ratings.get(first, START), ratings.get(second, START)
        ratings[first], ratings[second] = elo_updated(of_first, of_second, score, k=k)
    return ratings


def elo_in_time(battles: Battles) -> dict[str, float]:
    """Online Elo of battles by their times; those of one moment by models and outcome. Raises: TimesWanted."""
    if battles.time is None or not (battles.time > 0).all():
        raise TimesWanted
    order = np.lexsort((battles.outcome, battles.second, battles.first, battles.time))
    score = battles.score
    rows = zip(battles.first[order].tolist(), battles.second[order].tolist(), score[order].tolist(), strict=True)
    names = battles.names
    return online_elo((names[first], names[second], of_first) for first, second, of_first in rows)


def elo_bootstrap(battles: Battles, *, rounds: int, seed: int) -> FloatArray:
    """Online Elo of so many resamples, each in an order of its own, all advanced together; shape [rounds, M].

    Their median hardly depends on any order. The battles are sorted before they are drawn, so that neither does it
    depend on the order of a file.
    """
    random = np.random.default_rng(seed)
    order = np.lexsort((battles.outcome, battles.second, battles.first))
    first, second, score = battles.first[order], battles.second[order], battles.score[order]
    ratings = np.full((rounds, battles.n_models), START)
    every = np.arange(rounds)
    for _ in range(len(battles)):
        drawn = random.integers(0, len(battles), rounds)
        i, j = first[drawn], second[drawn]
        step = K * (score[drawn] - 1 / (1 + 10 ** ((ratings[every, j] - ratings[every, i]) / SCALE)))
        ratings[every, i] += step
        ratings[every, j] -= step
    return ratings
