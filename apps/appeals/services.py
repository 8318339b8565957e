"""Appeals are made once for each incident, and answered once."""

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.appeals.errors import AlreadyAnswered, AlreadyAppealed, AppealTextWrong
from apps.appeals.models import Appeal, Outcome
from apps.appeals.selectors import decisions_of
from apps.core.errors import NotFound
from apps.core.texts import clean_text
from apps.moderation.choices import Review
from apps.moderation.errors import AlreadyReviewed
from apps.moderation.services.reviews import incident_approve

TEXT_MAX_CHARS = 2000


def appeal_make(*, actor: Actor, incident_pk: int, text: str) -> Appeal:
    """Raises: NotFound, also for somebody else's incident; AppealTextWrong; AlreadyAppealed."""
    incident = decisions_of(actor).filter(pk=incident_pk).first()
    if incident is None:
        raise NotFound
    text = clean_text(text).strip()
    if not 0 < len(text) <= TEXT_MAX_CHARS:
        raise AppealTextWrong(limit=TEXT_MAX_CHARS)
    try:
        with transaction.atomic():
            return Appeal.objects.create(incident=incident, text=text)
    except IntegrityError as exc:
        raise AlreadyAppealed from exc


def appeal_answer(appeal: Appeal, *, outcome: Outcome, answer: str, moderator: User) -> None:
    """Tell whoever made it. One that is overturned decides the incident too, if nobody has: nothing was wrong.

    Raises: AlreadyAnswered.
    """
    with transaction.atomic():
        mine = Appeal.objects.filter(pk=appeal.pk, outcome=Outcome.OPEN)
        if not mine.update(outcome=outcome, answer=answer, answered_by=moderator, answered_at=timezone.now()):
            raise AlreadyAnswered
        if outcome is Outcome.OVERTURNED and appeal.incident.review == Review.OPEN:
            try:
                with transaction.atomic():
                    incident_approve(appeal.incident, reviewer=moderator)
            except AlreadyReviewed:
                pass  # by somebody else, just now: that stands beside the answer
    appeal.refresh_from_db()
