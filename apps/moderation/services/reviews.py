"""What a moderator decides about an incident: nothing is wrong, the text goes, or its author does. Each once."""

from collections.abc import Collection
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_key_revoke
from apps.moderation import selectors
from apps.moderation.actions import REMOVED, redacted
from apps.moderation.choices import Review, Surface
from apps.moderation.errors import AlreadyReviewed, CannotBlock, NothingKept
from apps.moderation.kept import Kept, TakenOut, keepers
from apps.moderation.matching import findings_of
from apps.moderation.models import Incident
from apps.moderation.services.bans import ban_create, require_may_block

APPROVED_AT_ONCE = 1000


def incident_open(incident: Incident, *, reader: User) -> Kept | None:
    """The text in question and what came before it; None if nothing of it is kept. Its owner can see who opened it."""
    keeper = keepers.get(Surface(incident.surface))
    if keeper is None or not incident.reference:
        return None
    return keeper.open(incident.reference, author=incident.author, reader=reader)


def incident_approve(incident: Incident, *, reviewer: User) -> None:
    """Nothing is wrong with it. Raises: AlreadyReviewed."""
    _review(incident, Review.APPROVED, reviewer)


def incidents_approve(incidents: QuerySet[Incident], *, reviewer: User) -> list[Incident]:
    """Of many, the newest `APPROVED_AT_ONCE` that are open; return those that this one approved."""
    with transaction.atomic():
        # Locked, so that of two moderators each approves what the other does not.
        mine = list(incidents.filter(review=Review.OPEN).select_for_update(of=("self",))[:APPROVED_AT_ONCE])
        decided = Incident.objects.filter(pk__in=[incident.pk for incident in mine])
        decided.update(review=Review.APPROVED, reviewed_by=reviewer, reviewed_at=timezone.now())
    return mine


def incident_redact(incident: Incident, *, reviewer: User) -> None:
    """Take out of the text that is kept what the incident's rules find in it; all of it, if they cannot say where.

    Raises: AlreadyReviewed; NothingKept; what the surface raises.
    """
    keeper = keepers.get(Surface(incident.surface))
    with transaction.atomic():
        _review(incident, Review.REDACTED, reviewer)
        if keeper is None or not incident.reference:
            raise NothingKept
        taken_out = _taken_out(incident.found_by)
        if not keeper.redact(incident.reference, author=incident.author, taken_out=taken_out):
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
            raise CannotBlock(reason="a visitor has no account to switch off: ban them")


def incident_ban(
    incident: Incident, *, reviewer: User, reason: str, lasts: timedelta | None, with_network: bool = False
) -> None:
    """Keep its author from taking part for a while; of a visitor maybe also whoever comes from the same network.

    Raises: AlreadyReviewed, CannotBlock.
    """
    with transaction.atomic():
        _review(incident, Review.BANNED, reviewer)
        if incident.user is None and incident.visitor_public_id is None:
            raise CannotBlock(reason="nobody is known but a key: revoke it")
        if not reason.strip():
            raise CannotBlock(reason="give the reason, it is told to them")
        ban_create(
            by=reviewer,
            reason=reason.strip().rstrip("."),
            lasts=lasts,
            user=incident.user,
            visitor_public_id=incident.visitor_public_id,
            network_digest=incident.network_digest if with_network else "",
        )


def _user_block(user: User, reviewer: User) -> None:
    require_may_block(user, reviewer)
    User.objects.filter(pk=user.pk).update(is_active=False)


def _review(incident: Incident, review: Review, reviewer: User) -> None:
    """Of two moderators at once, one decides."""
    mine = Incident.objects.filter(pk=incident.pk, review=Review.OPEN)
    if not mine.update(review=review, reviewed_by=reviewer, reviewed_at=timezone.now()):
        incident.refresh_from_db()
        raise AlreadyReviewed(review=incident.get_review_display().lower(), by=incident.reviewed_by or "somebody")
    incident.refresh_from_db()


def _taken_out(found_by: Collection[str]) -> TakenOut:
    """By the rules of these names as they are now. All goes, unless each of them can point at what it finds."""
    matchers = [matcher for matcher in selectors.decided().matchers if matcher.name in found_by]

    def taken_out(texts: list[str]) -> list[str]:
        found = findings_of(matchers, texts)
        all_found = [finding for findings in found for finding in findings]
        if not all(finding.has_places for finding in all_found) or {one.by for one in all_found} != set(found_by):
            return [REMOVED if text else "" for text in texts]
        pairs = zip(texts, found, strict=True)
        return [redacted(text, [span for finding in findings for span in finding.spans]) for text, findings in pairs]

    return taken_out
