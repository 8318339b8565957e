"""Jobs of privacy, for Celery. Their state is in Postgres, so a lost or doubled message does no harm."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from apps.privacy.selectors import erasures_due
from apps.privacy.services.erasures import erasure_advance
from apps.privacy.services.retention import retention_run

SWEEP_S = 10

logger = logging.getLogger(__name__)


@shared_task(name="privacy.erasures_advance_task")
def erasures_advance_task() -> int:
    """Go on with each request to be erased that is due; runs every `SWEEP_S`. One that fails holds up no other."""
    due = erasures_due()
    for pk in due:
        try:
            erasure_advance(pk)
        except Exception:
            logger.exception("erasure %d could not go on, and is tried again", pk)
    return len(due)


@shared_task(name="privacy.retention_task")
def retention_task() -> int:
    """Forget what is over; runs every hour. What did not fit into the time is left to the next run."""
    return sum(retention_run().values())


def erasures_nudge() -> None:
    """Have requests taken up at once; while the broker is away they wait for the sweep."""
    try:
        erasures_advance_task.apply_async(retry=False, expires=SWEEP_S)
    except OperationalError as exc:
        logger.warning("requests to be erased wait for the broker: %s", exc)
