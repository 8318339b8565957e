"""What is thought of a vote, and why. Pure: whatever is known about it is passed in.

Two kinds of reasons: some make a vote not count, and the voter is told; some make it weigh less, and only admins see
them, because who votes by program should not learn what gave it away. Nothing is deleted and nobody is shut out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from apps.arena import identities


class Reason(StrEnum):
    """Why a vote does not count, or weighs less."""

    IDENTITY_TOLD = "identity_told"
    IDENTITY_ASKED = "identity_asked"
    PAIR_KNOWN = "pair_known"
    EMPTY_ANSWER = "empty_answer"
    STOPPED = "stopped"
    TOO_FAST = "too_fast"
    TOO_LATE = "too_late"
    DUPLICATE = "duplicate"
    BURST = "burst"
    ONE_SIDED = "one_sided"
    PARTIAL = "partial"


UNDISCLOSED = frozenset({Reason.BURST, Reason.ONE_SIDED, Reason.PARTIAL})
"""They lower the weight, and voters are not told."""

BASE_READ_S = 1.0
READ_CHARS_PER_S = 400.0
"""Of both answers together: ten times as fast as people read."""
LONGEST_READ_S = 8.0
LONGEST_OPEN_S = 24 * 3600.0
"""After that a voter could look up in the file of calls who it was."""
SAME_QUESTION_MAX = 5
BURST_PER_MINUTE = 6
BURST_PER_HOUR = 60
NETWORK_VOTERS = 5
"""An office may vote together; no more of its people than this at their quickest."""
SHADOW_WEIGHT = 0.1
IMPROBABLE = 0.001
MIN_HISTORY = 12
"""Votes before a habit can be seen."""


@dataclass(frozen=True, slots=True)
class PastVote:
    """A vote of the same voter: the contestants' keys, and 1 if A was better, 0 if B, 0.5 for the rest."""

    a: int
    b: int
    score: float

    @property
    def is_decided(self) -> bool:
        return self.score != 0.5


@dataclass(frozen=True, slots=True)
class Habits:
    """How somebody has voted lately, this vote included."""

    n_last_minute: int
    n_last_hour: int
    history: Sequence[PastVote]
    win_rates: Mapping[int, float]
    """Of each contestant in that history, by the votes of everybody else."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about a vote on a battle without names."""

    questions: Sequence[str]
    answers: Sequence[str]
    last_answers: tuple[str, str]
    names: Sequence[str]
    """Of both contestants and their models."""
    makers: Sequence[str]
    is_rematch: bool
    was_stopped: bool
    read_s: float
    """From the moment when both had begun to write the last answers."""
    whole_s: float
    """From the moment when the rest of the longer one could be seen."""
    open_s: float
    """From the first message to the vote."""
    n_same_question: int
    """Other battles of this voter that began with the same message and whose names are known."""
    n_same_battle: int
    """Those of them that were of the same two."""
    voter: Habits
    network: Habits | None = None
    """Of all visitors of this one's network: whoever throws the cookie away is another visitor, in the same one."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """`reasons` in the order in which they were found."""

    counts: bool
    weight: float
    reasons: tuple[Reason, ...]


def assess(evidence: Evidence) -> Assessment:
    """What is thought of this vote."""
    against = [reason for reason, applies in _against(evidence) if applies]
    suspicions = [reason for reason, applies in _suspicions(evidence) if applies]
    weight = SHADOW_WEIGHT if suspicions else 1.0
    return Assessment(not against, weight, (*against, *suspicions))


def _against(evidence: Evidence) -> list[tuple[Reason, bool]]:
    a, b = map(len, evidence.last_answers)
    is_too_fast = evidence.read_s < least_read_s(a + b) or evidence.whole_s < least_rest_s(abs(a - b))
    return [
        (Reason.IDENTITY_TOLD, identities.told_by(evidence.answers, evidence.names, evidence.makers) is not None),
        (Reason.IDENTITY_ASKED, identities.asked_by(evidence.questions, evidence.names, evidence.makers) is not None),
        (Reason.PAIR_KNOWN, evidence.is_rematch),
        (Reason.STOPPED, evidence.was_stopped),
        (Reason.EMPTY_ANSWER, not all(answer.strip() for answer in evidence.last_answers)),
        (Reason.TOO_FAST, is_too_fast),
        (Reason.TOO_LATE, evidence.open_s > LONGEST_OPEN_S),
        (Reason.DUPLICATE, evidence.n_same_battle > 0 or evidence.n_same_question >= SAME_QUESTION_MAX),
    ]


def least_read_s(n_chars: int) -> float:
    """Nobody can have looked at so much text sooner."""
    return min(LONGEST_READ_S, BASE_READ_S + n_chars / READ_CHARS_PER_S)


def least_rest_s(n_chars: int) -> float:
    """As `least_read_s`, for the rest of an answer of which most was seen before."""
    return min(LONGEST_READ_S, n_chars / READ_CHARS_PER_S)


def _suspicions(evidence: Evidence) -> list[tuple[Reason, bool]]:
    voters = [(evidence.voter, 1), *([(evidence.network, NETWORK_VOTERS)] if evidence.network else [])]
    return [
        (Reason.BURST, any(is_burst(habits, n_voters) for habits, n_voters in voters)),
        (Reason.ONE_SIDED, any(is_one_sided(habits.history) for habits, _ in voters)),
        (Reason.PARTIAL, any(is_partial(habits.history, habits.win_rates) for habits, _ in voters)),
    ]


def is_burst(habits: Habits, n_voters: int = 1) -> bool:
    """Whether they come faster than so many people read and judge."""
    too_many_a_minute = habits.n_last_minute > BURST_PER_MINUTE * n_voters
    return too_many_a_minute or habits.n_last_hour > BURST_PER_HOUR * n_voters


def is_one_sided(history: Sequence[PastVote]) -> bool:
    """Whether A or B wins so often as would hardly happen by chance: sides are drawn by lot."""
    decided = [vote.score for vote in history if vote.is_decided]
    n_left = sum(score == 1 for score in decided)
    return len(decided) >= MIN_HISTORY and 2 * tail(max(n_left, len(decided) - n_left), len(decided), 0.5) < IMPROBABLE


def is_partial(history: Sequence[PastVote], win_rates: Mapping[int, float]) -> bool:
    """Whether one contestant wins or loses so much more often than for everybody else as would hardly be chance."""
    return any(_is_improbable(_results(history, key), rate) for key, rate in win_rates.items())


def _is_improbable(results: Sequence[float], rate: float) -> bool:
    n = len(results)
    if n < MIN_HISTORY:
        return False
    n_won = round(sum(results))
    # A few votes of others say little about the rate, so it is never taken for certain.
    rate = min(0.9, max(0.1, rate))
    return min(tail(n_won, n, rate), tail(n - n_won, n, 1 - rate)) < IMPROBABLE / 2


def _results(history: Sequence[PastVote], key: int) -> list[float]:
    decided = [vote for vote in history if vote.is_decided and key in (vote.a, vote.b)]
    return [vote.score if vote.a == key else 1 - vote.score for vote in decided]


def tail(k: int, n: int, p: float) -> float:
    """The probability of k or more successes in n trials."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
