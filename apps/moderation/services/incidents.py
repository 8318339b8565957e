"""Incidents: that something was done about a text, by whom it was, and what had found it."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.core.networks import network_var
from apps.moderation.actions import Finding
from apps.moderation.choices import Action, Direction, Surface
from apps.moderation.models import Incident

PRUNED_AT_ONCE = 5000


def incident_record(
    *, surface: Surface, direction: Direction, action: Action, findings: Iterable[Finding], actor: Actor, reference: str
) -> None:
    found = list(findings)
    Incident.objects.create(
        surface=surface,
        direction=direction,
        action=action,
        categories=sorted({finding.category for finding in found}),
        found_by=sorted({finding.by for finding in found}),
        user_id=actor.user_id,
        api_key_id=actor.api_key_id,
        visitor_public_id=actor.visitor_public_id,
        network_digest=network_var.get() if actor.visitor_public_id is not None else "",
        reference=reference,
    )


def incidents_prune() -> int:
    """Forget those that are older than they are kept, a bounded number in each transaction."""
    end = timezone.now() - timedelta(days=settings.MODERATION_LOG_DAYS)
    old = Incident.objects.filter(created_at__lt=end).order_by("created_at").values_list("pk", flat=True)
    n_pruned = 0
    while pks := list(old[:PRUNED_AT_ONCE]):
        n_pruned += Incident.objects.filter(pk__in=pks).delete()[0]
    return n_pruned
