"""Boards whose true strengths are known."""

import numpy as np

from apps.leaderboard.rating.battles import Battles, FloatArray, Outcome
from apps.leaderboard.rating.fit import Fit, fit
from apps.leaderboard.rating.ties import TieModel

FIRST, SECOND, TIE = (int(outcome) for outcome in Outcome)


def strengths_drawn(n_models: int, random: np.random.Generator) -> FloatArray:
    drawn = random.normal(0, 0.7, n_models)
    return np.asarray(drawn - drawn.mean())


def battles_drawn(
    strengths: FloatArray, n: int, random: np.random.Generator, *, tie: float = 0.0, n_voters: int | None = None
) -> Battles:
    """Uniform pairs; each battle is a tie with chance `tie`, whatever the pair."""
    m = len(strengths)
    first = random.integers(0, m, n)
    second = (first + random.integers(1, m, n)) % m
    won = random.random(n) < 1 / (1 + np.exp(strengths[second] - strengths[first]))
    outcome = np.where(random.random(n) < tie, Outcome.TIE, np.where(won, Outcome.FIRST, Outcome.SECOND))
    voter = None if n_voters is None else random.integers(0, n_voters, n)
    names = tuple(f"model-{i:02d}" for i in range(m))
    return Battles.of(names, first=first, second=second, outcome=outcome.astype(np.int64), voter=voter)


def battles_of(
    *rows: tuple[str, str, int], weights: list[float] | None = None, voters: list[int] | None = None
) -> Battles:
    """Written out: first, second, outcome."""
    names = tuple(sorted({name for row in rows for name in row[:2]}))
    first, second, outcome = (
        np.array(column, dtype=np.int64)
        for column in zip(*((names.index(a), names.index(b), won) for a, b, won in rows), strict=True)
    )
    weight = None if weights is None else np.array(weights)
    voter = None if voters is None else np.array(voters, dtype=np.int64)
    return Battles.of(names, first=first, second=second, outcome=outcome, weight=weight, voter=voter)


def fitted(battles: Battles, model: TieModel = TieModel.HALF, *, has_side: bool = False) -> Fit:
    return fit(battles.cells(), battles.n_models, tie_model=model, has_side=has_side)
