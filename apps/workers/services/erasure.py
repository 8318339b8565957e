"""Requests in the log of the pool that are to go: somebody's, a bounded number at a time, and old ones."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.workers.models import PoolRequest, RequestState
from apps.workers.models.requests import RENEWED_WITHIN
from apps.workers.parties import party_of

ERASED_AT_ONCE = 1000


def requests_over() -> QuerySet[PoolRequest]:
    """Those that are older than the log is kept: to be forgotten."""
    return PoolRequest.objects.filter(created_at__lt=timezone.now() - timedelta(days=settings.REQUEST_LOG_DAYS))


def requests_erase(actor: Actor, held: Collection[UUID]) -> int:
    """Those that have ended or whose process died. They hold no text, so a hold keeps none of them."""
    over = Q(state=RequestState.ENDED) | Q(renewed_at__lt=timezone.now() - RENEWED_WITHIN)
    found = PoolRequest.objects.filter(over, party=party_of(actor))
    pks = list(found.values_list("pk", flat=True)[:ERASED_AT_ONCE])
    return PoolRequest.objects.filter(pk__in=pks).delete()[0]
