"""What moderation wrote down about somebody, a bounded number of rows at a time. Again does no harm."""

from collections.abc import Collection
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet

from apps.accounts.actors import Actor
from apps.moderation.models import Ban, Incident, Opening

ERASED_AT_ONCE = 1000
ERASED = "somebody who was erased"


def incidents_erase(actor: Actor, held: Collection[UUID]) -> int:
    found = Incident.objects.exclude(user__isnull=False, user__public_id__in=held)
    pks = list(found.filter(_whose(actor, held, "user_id")).values_list("pk", flat=True)[:ERASED_AT_ONCE])
    return Incident.objects.filter(pk__in=pks).delete()[0]


def openings_erase(actor: Actor, held: Collection[UUID]) -> int:
    """What staff read stays written down, without whose it was and where it was found."""
    found = Opening.objects.exclude(owner__isnull=False, owner__public_id__in=held)
    pks = list(found.filter(_whose(actor, held, "owner_id")).values_list("pk", flat=True)[:ERASED_AT_ONCE])
    openings = Opening.objects.filter(pk__in=pks)
    return openings.update(owner=None, visitor_public_id=None, whose=ERASED, address="")


def bans_erase(actor: Actor, held: Collection[UUID]) -> int:
    """A ban of a network goes on without whose it was first; others are of nobody when the person is gone."""
    pks = list(bans_to_erase(actor, held).values_list("pk", flat=True)[:ERASED_AT_ONCE])
    log = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Ban))
    log.filter(object_id__in=[str(pk) for pk in pks]).update(object_repr=ERASED)
    bans = Ban.objects.filter(pk__in=pks)
    bans.filter(network_digest="").delete()
    bans.update(user=None, visitor_public_id=None)
    return len(pks)


def bans_to_erase(actor: Actor, held: Collection[UUID]) -> QuerySet[Ban]:
    """For whoever keeps something about them, and takes that first."""
    found = Ban.objects.exclude(user__isnull=False, user__public_id__in=held)
    return found.filter(_whose(actor, held, "user_id"))


def _whose(actor: Actor, held: Collection[UUID], user_column: str) -> Q:
    if actor.user_id is not None:
        return Q(**{user_column: actor.user_id})
    if actor.visitor_public_id is not None and actor.visitor_public_id not in held:
        return Q(visitor_public_id=actor.visitor_public_id)
    return Q(pk__in=[])
