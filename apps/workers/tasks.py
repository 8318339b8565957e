"""Jobs of the pool, for Celery."""

from celery import shared_task

from apps.workers.services import checks


@shared_task(name="workers.providers_check_task")
def providers_check_task() -> int:
    """Ask every provider for its list of models."""
    return checks.providers_check()
