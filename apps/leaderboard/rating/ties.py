"""Three answers to what a tie says. Each gives, for one battle, the log-likelihood and its first two derivatives.

They are functions of d, the difference of two strengths in logits, and of g, the tie parameter, which the half win has
not. All three are concave in (d, g), so that what Newton's method finds is the maximum.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from apps.leaderboard.rating.battles import FloatArray, IntArray, Outcome


class TieModel(StrEnum):
    """How ties enter."""

    HALF = "half"
    """As half a win for each: what FastChat does."""
    DAVIDSON = "davidson"
    """P(tie) is in proportion to the geometric mean of both strengths."""
    RAO_KUPPER = "rao-kupper"
    """A difference below a threshold is not noticed."""

    @property
    def has_parameter(self) -> bool:
        return self is not TieModel.HALF


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one battle for each cell: log-likelihood, scores, and information (the second derivatives, negated)."""

    loglik: FloatArray
    score_d: FloatArray
    score_g: FloatArray
    info_dd: FloatArray
    info_dg: FloatArray
    info_gg: FloatArray


def terms(model: TieModel, d: FloatArray, g: float, outcome: IntArray) -> Terms:
    match model:
        case TieModel.HALF:
            return _half(d, outcome)
        case TieModel.DAVIDSON:
            return _davidson(d, g, outcome)
        case TieModel.RAO_KUPPER:
            return _rao_kupper(d, g, outcome)


def _half(d: FloatArray, outcome: IntArray) -> Terms:
    """P(first) = s(d), with s the logistic function. Source: Bradley and Terry (1952), Biometrika 39(3/4), 324-345."""
    y = np.array((1.0, 0.0, 0.5))[outcome]
    p = sigmoid(d)
    none = np.zeros_like(d)
    return Terms(y * d - np.logaddexp(0.0, d), y - p, none, p * (1 - p), none, none)


def _davidson(d: FloatArray, g: float, outcome: IntArray) -> Terms:
    """P(first) : P(second) : P(tie) = exp(d/2) : exp(-d/2) : exp(g). Source: Davidson (1970), JASA 65, 317-328."""
    powers = np.stack((d / 2, -d / 2, np.full_like(d, g)))
    top = powers.max(0)
    log_total = top + np.log(np.exp(powers - top).sum(0))
    first, second, tie = np.exp(powers - log_total)
    lead = (first - second) / 2
    return Terms(
        loglik=np.choose(outcome, powers) - log_total,
        score_d=np.choose(outcome, (0.5, -0.5, 0.0)) - lead,
        score_g=(outcome == Outcome.TIE) - tie,
        info_dd=(first + second) / 4 - lead**2,
        info_dg=-lead * tie,
        info_gg=tie * (1 - tie),
    )


def _rao_kupper(d: FloatArray, g: float, outcome: IntArray) -> Terms:
    """P(first) = s(d - g), P(second) = s(-d - g), the rest ties; g > 0.

    P(tie) = (exp(2g) - 1) s(d - g) s(-d - g), so a tie is a win of both, times a factor of g alone.
    Source: Rao and Kupper (1967), JASA 62, 194-204.
    """
    a, b = sigmoid(d - g), sigmoid(-d - g)
    tie = outcome == Outcome.TIE
    has_a, has_b = (outcome != Outcome.SECOND).astype(float), (outcome != Outcome.FIRST).astype(float)
    info_a, info_b = has_a * a * (1 - a), has_b * b * (1 - b)
    return Terms(
        loglik=has_a * _log_sigmoid(d - g) + has_b * _log_sigmoid(-d - g) + tie * (2 * g + np.log(-np.expm1(-2 * g))),
        score_d=has_a * (1 - a) - has_b * (1 - b),
        score_g=-has_a * (1 - a) - has_b * (1 - b) + tie * (2 / -np.expm1(-2 * g)),
        info_dd=info_a + info_b,
        info_dg=info_b - info_a,
        info_gg=info_a + info_b + tie * (4 * np.exp(-2 * g) / np.expm1(-2 * g) ** 2),
    )


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow."""
    from scipy.special import expit  # here, because every process of the site has this module, and few rate

    return np.asarray(expit(x))


def _log_sigmoid(x: FloatArray) -> FloatArray:
    from scipy.special import log_expit  # here, as above

    return np.asarray(log_expit(x))
