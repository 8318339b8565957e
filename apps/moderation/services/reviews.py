"""What a moderator decides about an incident: nothing is wrong, the text goes, or its author does. Each once."""

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_key_revoke
from apps.moderation import selectors
from apps.moderation.actions import REMOVED, redacted
from apps.moderation.choices import Review, Surface
from apps.moderation.errors import AlreadyReviewed, CannotBlock, NothingKept
from apps.moderation.kept import Kept, keepers
from apps.moderation.matching import findings_of
from apps.moderation.models import Incident


def incident_open(incident: Incident, *, reader: User) -> Kept | None:
    """The text in question and what came before it; None if nothing of it is kept. Its owner can see who opened it."""
    keeper = keepers.get(Surface(incident.surface))
    return keeper.open(incident.reference, reader=reader) if keeper and incident.reference else None


def incident_approve(incident: Incident, *, reviewer: User) -> None:
    """Nothing is wrong with it. Raises: AlreadyReviewed."""
    _review(incident, Review.APPROVED, reviewer)


def incident_redact(incident: Incident, *, reviewer: User) -> None:
    """Take out of the text that is kept what the incident's rules find in it; all of it, if they cannot say where.

    Raises: AlreadyReviewed; NothingKept; what the surface raises.
    """
    keeper = keepers.get(Surface(incident.surface))
    with transaction.atomic():
        _review(incident, Review.REDACTED, reviewer)
        if not (keeper and incident.reference and keeper.redact(incident.reference, _taken_out(incident.found_by))):
            raise NothingKept


def incident_block(incident: Incident, *, reviewer: User) -> None:
    """Switch off the account that sent it, or revoke the key if that has none. Raises: AlreadyReviewed, CannotBlock."""
    with transaction.atomic():
        _review(incident, Review.BLOCKED, reviewer)
        if incident.user is not None:
            _user_block(incident.user, reviewer)
        elif incident.api_key_id is not None:
            api_key_revoke(ApiKey.objects.get(pk=incident.api_key_id))
        else:
            raise CannotBlock(reason="a visitor has no account; VISITORS_MAY_CHAT decides about all of them")


def _user_block(user: User, reviewer: User) -> None:
    if user.pk == reviewer.pk:
        raise CannotBlock(reason="this is you")
    if user.is_staff and not reviewer.is_superuser:
        raise CannotBlock(reason=f"{user} works in the admin; a superuser may")
    User.objects.filter(pk=user.pk).update(is_active=False)


def _review(incident: Incident, review: Review, reviewer: User) -> None:
    """Of two moderators at once, one decides."""
    mine = Incident.objects.filter(pk=incident.pk, review=Review.OPEN)
    if not mine.update(review=review, reviewed_by=reviewer, reviewed_at=timezone.now()):
        incident.refresh_from_db()
        raise AlreadyReviewed(review=incident.get_review_display().lower(), by=incident.reviewed_by or "somebody")
    incident.refresh_from_db()


def _taken_out(found_by: list[str]) -> Callable[[str], str]:
    """By the rules of these names as they are now."""
    matchers = [matcher for matcher in selectors.decided().matchers if matcher.name in found_by]

    def taken_out(text: str) -> str:
        [findings] = findings_of(matchers, [text])
        spans = [span for finding in findings if finding.has_places for span in finding.spans]
        return redacted(text, spans) if spans else REMOVED

    return taken_out
