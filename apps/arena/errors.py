"""Errors of the arena. None of their words names a contestant."""

from apps.accounts.errors import LimitExceeded
from apps.core.errors import SiteError, Whose


class ArenaNotFound(SiteError):
    """No such arena for this person."""

    code = "arena.not_found"
    http_status = 404
    whose = Whose.USER


class ArenaClosed(SiteError):
    """It begins no new battles."""

    code = "arena.closed"
    http_status = 409
    whose = Whose.USER


class NoOpponents(SiteError):
    """No two contestants that may meet are ready."""

    code = "arena.no_opponents"
    http_status = 503
    retryable = True


class NobodySees(SiteError):
    """No two contestants that may meet and can see images are ready."""

    code = "arena.nobody_sees"
    http_status = 503
    retryable = True


class ImageTooLate(SiteError):
    """A battle that began without images is shown none: whether it took them would tell something of the two."""

    code = "arena.image_too_late"
    http_status = 409
    whose = Whose.USER


class SightLost(SiteError):
    """Of two that were shown images one can see no more; who is not told while the names are not."""

    code = "arena.sight_lost"
    http_status = 409
    whose = Whose.WORKER


class ContestantUnknown(SiteError):
    """Not in this arena, not to be chosen by name, or the same as the other one."""

    code = "arena.contestant_unknown"
    http_status = 404
    whose = Whose.USER


class BattleNotFound(SiteError):
    """No such battle of this person: somebody else's looks the same as none."""

    code = "arena.battle_not_found"
    http_status = 404
    whose = Whose.USER


class BattleNotReady(SiteError):
    """A side is still writing."""

    code = "arena.not_ready"
    http_status = 409
    retryable = True
    whose = Whose.USER


class BattleFailed(SiteError):
    """A side could not answer: there is nothing to judge, and nobody has lost."""

    code = "arena.battle_failed"
    http_status = 409
    whose = Whose.USER


class BattleWhole(SiteError):
    """Neither side failed, so there is no reason for another opponent."""

    code = "arena.battle_whole"
    http_status = 409
    whose = Whose.USER


class BattleFollowed(SiteError):
    """It went on against a new opponent, and one of its two may stand there without a name."""

    code = "arena.followed"
    http_status = 409
    whose = Whose.USER


class BattleNotRevealed(SiteError):
    """The names of its two were not told yet."""

    code = "arena.not_revealed"
    http_status = 409
    whose = Whose.USER


class BattleChanged(SiteError):
    """It has another turn than the one that was seen."""

    code = "arena.changed"
    http_status = 409
    whose = Whose.USER


class ChoiceMissing(SiteError):
    """A battle side by side without a choice of the two."""

    code = "arena.choice_missing"
    http_status = 400
    whose = Whose.USER


class BattleErased(SiteError):
    """Its texts are gone, as with those of somebody who was erased."""

    code = "arena.erased"
    http_status = 410
    whose = Whose.USER


class BattleTooLong(SiteError):
    """It has as many turns as a battle may have."""

    code = "arena.too_long"
    http_status = 409
    whose = Whose.USER


class AlreadyVoted(SiteError):
    """The battle has its vote."""

    code = "arena.already_voted"
    http_status = 409
    whose = Whose.USER


class AlreadyRevealed(SiteError):
    """The names were told without a vote, so a verdict would not be a blind one."""

    code = "arena.already_revealed"
    http_status = 409
    whose = Whose.USER


class SideFailed(SiteError):
    """Why a turn failed, without a word about who: what went wrong with which model is in its generation's row."""

    code = "arena.side_failed"
    http_status = 502
    retryable = True
    whose = Whose.WORKER


class TooLongForOne(SideFailed):
    """The messages do not fit into one of the models."""

    code = "arena.too_long_for_one"
    http_status = 400
    retryable = False
    whose = Whose.USER


class SideBusy(SideFailed):
    """One of the models has as many requests as it can queue."""

    code = "arena.side_busy"
    http_status = 503


class BattleLimitExceeded(SideFailed):
    """Of the person's own limits, one does not allow an answer."""

    code = "arena.limit_exceeded"
    http_status = 429
    whose = Whose.USER


_BUSY = {
    "workers.overloaded",
    "workers.queue_full",
    "workers.too_many_waiting",
    "workers.waited_too_long",
    "workers.resting",
}


def side_failure(code: str) -> SideFailed:
    """What a voter is told about a generation that failed with this code: its own words could name the model."""
    if is_own_limit(code):
        return BattleLimitExceeded()
    if code in _BUSY:
        return SideBusy()
    return TooLongForOne() if code == "prompt.too_long" else SideFailed()


def is_own_limit(code: str) -> bool:
    """Whether a generation failed with this code because of the voter's own limits, whoever had been asked.

    Not if a limit could not be applied to one model, as with `LimitNeedsBound`: that is a fault of the model's row.
    """
    return code == LimitExceeded.code
