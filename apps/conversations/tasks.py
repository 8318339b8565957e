"""Jobs of conversations, for Celery. Their state is in Postgres, so a lost or doubled message does no harm."""

import asyncio

from celery import shared_task

from apps.conversations.live.recovery import recover
from apps.conversations.services.images import images_prune

RECOVER_LIMIT = 20
RECOVER_WITHIN_S = 60.0


@shared_task(name="conversations.images_prune_task")
def images_prune_task() -> int:
    """Forget images that were attached and never sent; runs every hour."""
    return images_prune()


@shared_task(name="conversations.generations_recover_task")
def generations_recover_task() -> int:
    """Finish answers whose reader died; runs every few seconds."""
    return asyncio.run(recover(limit=RECOVER_LIMIT, within_s=RECOVER_WITHIN_S))
