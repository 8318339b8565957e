"""Jobs of the API, for Celery. Their state is in Postgres, so a lost or doubled message does no harm."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from apps.openai_api.batch_runner import batch_advance
from apps.openai_api.selectors import batches_free

BATCHES_AT_ONCE = 100

logger = logging.getLogger(__name__)


@shared_task(name="openai_api.batch_advance_task")
def batch_advance_task(batch_pk: int) -> None:
    """One turn; then, behind whatever else waits, the next."""
    if batch_advance(batch_pk):
        batch_advance_task.delay(batch_pk)


def nudge(batch_pk: int) -> None:
    """Have a batch taken up at once. While the broker is away it waits: its row says what is to be done."""
    try:
        batch_advance_task.apply_async((batch_pk,), retry=False)
    except OperationalError as exc:
        logger.warning("batch %s waits for the broker: %s", batch_pk, exc)


@shared_task(name="openai_api.batches_advance_task")
def batches_advance_task() -> int:
    """Take up what waits for a worker, and what a runner that died has left behind; runs every few seconds."""
    free = batches_free(BATCHES_AT_ONCE)
    for batch_pk in free:
        batch_advance_task.delay(batch_pk)
    return len(free)
