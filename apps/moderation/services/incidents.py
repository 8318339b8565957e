"""Incidents: that something was done about a text, by whom it was, and what had found it."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.core.networks import network_var
from apps.holds.selectors import held_ids
from apps.moderation.actions import Finding
from apps.moderation.choices import Action, Direction, Surface
from apps.moderation.models import Incident


def incident_record(
    *,
    surface: Surface,
    direction: Direction,
    action: Action,
    findings: Iterable[Finding],
    actor: Actor,
    reference: str,
    request_id: str,
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
        request_id=request_id,
    )


def incidents_lead_to(kept: UUID, *, instead_of: UUID) -> None:
    """What was looked at under one id is kept under another."""
    Incident.objects.filter(reference=str(instead_of)).update(reference=str(kept))


def incidents_over() -> QuerySet[Incident]:
    """Those that are older than they are kept, and not held: to be forgotten."""
    end, held = timezone.now() - timedelta(days=settings.MODERATION_LOG_DAYS), held_ids()
    of_held = Q(user__isnull=False, user__public_id__in=held)
    of_held |= Q(visitor_public_id__isnull=False, visitor_public_id__in=held)
    return Incident.objects.filter(created_at__lt=end).exclude(of_held)
