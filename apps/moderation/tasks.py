"""Jobs of moderation, for Celery."""

from celery import shared_task

from apps.moderation.services.incidents import incidents_prune


@shared_task(name="moderation.incidents_prune_task")
def incidents_prune_task() -> int:
    """Forget old incidents; runs every hour."""
    return incidents_prune()
