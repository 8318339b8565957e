"""Jobs of the pool, for Celery."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from apps.workers.models import PoolRequest

PRUNED_AT_ONCE = 5000


@shared_task(name="workers.requests_prune_task")
def requests_prune_task() -> int:
    """Forget requests that are older than the log is kept, a bounded number each time."""
    end = timezone.now() - timedelta(days=settings.REQUEST_LOG_DAYS)
    old = PoolRequest.objects.filter(created_at__lt=end).order_by("created_at").values("pk")[:PRUNED_AT_ONCE]
    n_deleted, _ = PoolRequest.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
    return n_deleted
