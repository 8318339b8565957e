"""Jobs of the pool, for Celery."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from apps.workers.models import PoolRequest
from apps.workers.services import checks

PRUNED_AT_ONCE = 5000


@shared_task(name="workers.requests_prune_task")
def requests_prune_task() -> int:
    """Forget requests that are older than the log is kept, a bounded number in each transaction."""
    end = timezone.now() - timedelta(days=settings.REQUEST_LOG_DAYS)
    old = PoolRequest.objects.filter(created_at__lt=end).order_by("created_at").values_list("pk", flat=True)
    n_pruned = 0
    while pks := list(old[:PRUNED_AT_ONCE]):
        n_pruned += PoolRequest.objects.filter(pk__in=pks).delete()[0]
    return n_pruned


@shared_task(name="workers.providers_check_task")
def providers_check_task() -> int:
    """Ask every provider for its list of models."""
    return checks.providers_check()
