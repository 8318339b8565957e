"""Online Elo: a live number after each vote. It depends on the order of the votes; the board does not.

Source: FastChat 0.2.36, fastchat/serve/monitor/elo_analysis.py, compute_elo.
"""

from collections.abc import Iterable, Mapping

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
