"""Which battles do not count, and why: each rule is a function of one row, and each has its count.

They are FastChat's rules without their known mistakes: only answers are looked at, not questions; an error or a cursor
counts where it stands for the answer, not where it is quoted; a name tells only where a model speaks of itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from apps.arena.identities import told_by
from apps.leaderboard.battle_files.rows import BattleRow

CURSORS = ("▌", '<span class="cursor"></span>')
# Source: FastChat 0.2.36, fastchat/constants.py and fastchat/serve/api_provider.py.
ERROR_ANSWERS = (
    "**NETWORK ERROR DUE TO HIGH TRAFFIC. PLEASE REGENERATE OR REFRESH THIS PAGE.**",
    "NETWORK ERROR DUE TO HIGH TRAFFIC.",
    "$MODERATION$ YOUR INPUT VIOLATES OUR CONTENT MODERATION GUIDELINES.",
    "YOUR INPUT VIOLATES OUR CONTENT MODERATION GUIDELINES.",
    "**API REQUEST ERROR**",
    "API REQUEST ERROR",
)


class Reason(StrEnum):
    """Why a row is not in the board."""

    BAD_JSON = "bad_json"
    BAD_FIELD = "bad_field"
    DUPLICATE = "duplicate"
    NOT_A_VOTE = "not_a_vote"
    NOT_ANONYMOUS = "not_anonymous"
    EXCLUDED = "excluded"
    EMPTY_ANSWER = "empty_answer"
    ERROR_ANSWER = "error_answer"
    UNFINISHED_ANSWER = "unfinished_answer"
    IDENTITY_TOLD = "identity_told"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is asked of the rules."""

    excluded: frozenset[str] = frozenset()
    takes_named: bool = False
    """Also battles whose models were known to the voter."""
    has_style: bool = False
    has_categories: bool = False
    deduplicates: bool = False
    """These three ask more of each row, and let nothing be left out."""


def is_named(row: BattleRow, cleaning: Cleaning) -> bool:
    return not row.is_anonymous and not cleaning.takes_named


def is_excluded(row: BattleRow, cleaning: Cleaning) -> bool:
    return row.model_a in cleaning.excluded or row.model_b in cleaning.excluded


def has_empty_answer(row: BattleRow, cleaning: Cleaning) -> bool:
    return any(not answer.strip() for answer in row.answers)


def has_error_answer(row: BattleRow, cleaning: Cleaning) -> bool:
    return any(answer.lstrip().startswith(ERROR_ANSWERS) for answer in row.answers)


def has_unfinished_answer(row: BattleRow, cleaning: Cleaning) -> bool:
    return any(answer.rstrip().endswith(CURSORS) for answer in row.answers)


def tells_identity(row: BattleRow, cleaning: Cleaning) -> bool:
    # By one name after the other: patterns are kept for each name, and there are many more pairs than names.
    return bool(row.answers) and any(told_by(row.answers, (name,)) for name in (row.model_a, row.model_b))


RULES: tuple[tuple[Reason, Callable[[BattleRow, Cleaning], bool]], ...] = (
    (Reason.NOT_ANONYMOUS, is_named),
    (Reason.EXCLUDED, is_excluded),
    (Reason.EMPTY_ANSWER, has_empty_answer),
    (Reason.ERROR_ANSWER, has_error_answer),
    (Reason.UNFINISHED_ANSWER, has_unfinished_answer),
    (Reason.IDENTITY_TOLD, tells_identity),
)


def dropped_for(row: BattleRow, cleaning: Cleaning) -> Reason | None:
    """The first rule that a row breaks."""
    return next((reason for reason, breaks in RULES if breaks(row, cleaning)), None)
