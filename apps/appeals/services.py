"""Appeals are made once for each incident or ban, and answered once."""

from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.appeals.errors import AlreadyAnswered, AlreadyAppealed, AppealTextWrong
from apps.appeals.models import Appeal, Outcome
from apps.appeals.selectors import bans_of, decisions_of
from apps.core.errors import NotFound
from apps.core.texts import clean_text
from apps.moderation.choices import Review
from apps.moderation.errors import AlreadyReviewed
from apps.moderation.services.bans import ban_lift
from apps.moderation.services.erasure import bans_to_erase
from apps.moderation.services.reviews import incident_approve

TEXT_MAX_CHARS = 2000


def appeal_make(*, actor: Actor, incident_pk: int, text: str) -> Appeal:
    """Raises: NotFound, also for somebody else's incident; AppealTextWrong; AlreadyAppealed."""
    incident = decisions_of(actor).filter(pk=incident_pk).first()
    if incident is None:
        raise NotFound
    return _make(Appeal(incident=incident), text)


def ban_appeal_make(*, actor: Actor, ban_pk: int, text: str) -> Appeal:
    """Raises: NotFound, also for somebody else's ban and one that is over; AppealTextWrong; AlreadyAppealed."""
    ban = bans_of(actor).filter(pk=ban_pk).first()
    if ban is None:
        raise NotFound
    return _make(Appeal(ban=ban), text)


def _make(appeal: Appeal, text: str) -> Appeal:
    appeal.text = clean_text(text).strip()
    if not 0 < len(appeal.text) <= TEXT_MAX_CHARS:
        raise AppealTextWrong(limit=TEXT_MAX_CHARS)
    try:
        with transaction.atomic():
            appeal.save(force_insert=True)
    except IntegrityError as exc:
        raise AlreadyAppealed from exc
    return appeal


def appeal_answer(appeal: Appeal, *, outcome: Outcome, answer: str, moderator: User) -> None:
    """Tell whoever made it. Overturning lifts the ban, or approves the incident if nobody has decided about it.

    Raises: AlreadyAnswered.
    """
    with transaction.atomic():
        mine = Appeal.objects.filter(pk=appeal.pk, outcome=Outcome.OPEN)
        if not mine.update(outcome=outcome, answer=answer, answered_by=moderator, answered_at=timezone.now()):
            raise AlreadyAnswered
        if outcome is Outcome.OVERTURNED:
            _undo(appeal, moderator)
    appeal.refresh_from_db()


def appeals_erase(actor: Actor, held: Collection[UUID]) -> int:
    """What somebody said against bans: one that holds for a network stays. Others go with their incidents."""
    return Appeal.objects.filter(ban__in=bans_to_erase(actor, held)).delete()[0]


def _undo(appeal: Appeal, moderator: User) -> None:
    if appeal.ban is not None:
        ban_lift(appeal.ban, by=moderator)
    elif appeal.incident is not None and appeal.incident.review == Review.OPEN:
        with suppress(AlreadyReviewed), transaction.atomic():  # by somebody else, just now: that stands beside
            incident_approve(appeal.incident, reviewer=moderator)
