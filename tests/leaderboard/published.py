"""Data and answers that others have printed, each with its source."""

from collections.abc import Sequence

import numpy as np

from apps.leaderboard.rating.battles import Cells, Outcome

CITATIONS = ("Biometrika", "Comm Statist", "JASA", "JRSS-B")
CITED = np.array([[0, 730, 498, 221], [33, 0, 68, 17], [320, 813, 0, 142], [284, 276, 325, 0]])
"""cited[i, j]: how often j cites i, which is a win of i. Agresti (2002), Categorical Data Analysis, 2nd ed., p. 448."""
CITATIONS_ABILITIES = (0.0, -2.9490725, -0.4795698, 0.2689541)
CITATIONS_ERRORS = (0.0, 0.10254534, 0.06058873, 0.07082997)
"""Source: https://github.com/hturner/BradleyTerry2, pkg/tests/BTabilities.Rout.save; against Biometrika."""
CITATIONS_CENTRED_ABILITIES = (0.7899221, -2.1591504, 0.3103523, 1.0588761)
CITATIONS_CENTRED_ERRORS = (0.04333047, 0.07257974, 0.04164102, 0.05304699)
"""Source: the same, `contr.sum`."""

TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
HOME = (
    (None, (4, 3), (4, 2), (4, 3), (6, 1), (4, 2), (6, 0)),  # Milwaukee
    ((3, 3), None, (4, 2), (4, 3), (6, 0), (6, 1), (4, 3)),  # Detroit
    ((2, 5), (4, 3), None, (2, 4), (4, 3), (4, 2), (6, 0)),  # Toronto
    ((3, 3), (5, 1), (2, 5), None, (4, 3), (4, 2), (6, 1)),  # New York
    ((5, 1), (2, 5), (3, 3), (4, 2), None, (5, 2), (6, 0)),  # Boston
    ((2, 5), (3, 3), (3, 4), (4, 3), (4, 2), None, (2, 4)),  # Cleveland
    ((2, 5), (1, 5), (1, 6), (2, 4), (1, 6), (3, 4), None),  # Baltimore
)
"""HOME[i][j]: games that i won and lost at home against j, American League 1987, Agresti (2002), p. 438."""
BASEBALL_SORTED = (0.68, 1.11, 1.25, 1.29, 1.44, 1.58)
"""Against Baltimore, sorted. Agresti (2002), table 10.11, column 3; errors are "about 0.3"."""
BASEBALL_HOME_SHARES = (0.044, 0.088, 0.137, 0.157, 0.164, 0.190, 0.220)
BASEBALL_HOME = 0.302
"""With home advantage: strengths that sum to 1, column 5, and the advantage in logits.
Source of all three: https://rdrr.io/cran/BradleyTerry2/src/tests/testthat/test-baseball.R"""

PUDDING = (
    (1, 2, 19, 22, 16), (1, 3, 16, 19, 12), (2, 3, 19, 19, 10), (1, 4, 18, 23, 13), (2, 4, 23, 19, 9),
    (3, 4, 19, 20, 15), (1, 5, 13, 19, 18), (2, 5, 16, 20, 12), (3, 5, 16, 15, 17), (4, 5, 17, 14, 16),
    (1, 6, 18, 21, 12), (2, 6, 22, 20, 12), (3, 6, 13, 18, 10), (4, 6, 14, 19, 18), (5, 6, 11, 21, 12),
)  # fmt: skip
"""i, j, i preferred, j preferred, no preference. Davidson (1970), JASA 65, 317-328, example 2.
Source: https://github.com/d-a-henderson/GPL/blob/master/puddings.txt"""
PUDDING_WORTHS = (0.1388005, 0.1729985, 0.1617420, 0.1653930, 0.1586805, 0.2023855)
PUDDING_NU = 0.7468147
"""Worths that sum to 1, after 7 rounds as Davidson did. Source: vignette of the R package PlackettLuce, 2.1.1."""


def cells(rows: Sequence[tuple[int, int, Outcome, float]]) -> Cells:
    """From first, second, outcome and count."""
    first, second, outcome, count = (np.array(column) for column in zip(*rows, strict=True))
    return Cells(first, second, outcome.astype(np.int64), np.ones(len(first)), count.astype(float))


def citations() -> Cells:
    return cells([(i, j, Outcome.FIRST, CITED[i, j]) for i in range(4) for j in range(4) if i != j])


def baseball() -> Cells:
    """The team at home is the first."""
    rows = []
    for i, games in enumerate(HOME):
        for j, game in enumerate(games):
            if game is not None:
                rows += [(i, j, Outcome.FIRST, game[0]), (i, j, Outcome.SECOND, game[1])]
    return cells([row for row in rows if row[3]])


def pudding() -> Cells:
    rows = []
    for i, j, won, lost, tied in PUDDING:
        for outcome, count in ((Outcome.FIRST, won), (Outcome.SECOND, lost), (Outcome.TIE, tied)):
            rows.append((i - 1, j - 1, outcome, count))
    return cells(rows)
