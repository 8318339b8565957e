"""Jobs of the API, for Celery. Their state is in Postgres, so a lost or doubled message does no harm."""

import logging
from uuid import UUID, uuid4

from celery import shared_task
from kombu.exceptions import OperationalError

from apps.openai_api.batch_runner import batch_advance
from apps.openai_api.responses.runner import responses_run
from apps.openai_api.selectors import batches_free
from apps.openai_api.services.batches import LEASE_S, batch_claim

BATCHES_AT_ONCE = 100
SWEEP_S = 10
"""The sweep sends again what was not taken up, so that its messages need not live longer."""

logger = logging.getLogger(__name__)


@shared_task(name="openai_api.batch_advance_task")
def batch_advance_task(batch_pk: int, runner: str | None = None) -> None:
    """One turn; then, behind whatever else waits, the next.

    The lease goes with the message. A batch so has one chain of turns, however many messages about it there are: all
    but the one with the lease find it taken and end.
    """
    if not batch_advance(batch_pk, runner=None if runner is None else UUID(runner)):
        return
    following = uuid4()
    if batch_claim(batch_pk, following) is not None:
        batch_advance_task.apply_async((batch_pk, str(following)), expires=LEASE_S)


def nudge(batch_pk: int) -> None:
    """Have a batch taken up at once. While the broker is away it waits: its row says what is to be done."""
    try:
        batch_advance_task.apply_async((batch_pk,), retry=False, expires=SWEEP_S)
    except OperationalError as exc:
        logger.warning("batch %s waits for the broker: %s", batch_pk, exc)


@shared_task(name="openai_api.batches_advance_task")
def batches_advance_task() -> int:
    """Take up what waits for a worker, and what a runner that died has left behind; runs every `SWEEP_S`."""
    free = batches_free(BATCHES_AT_ONCE)
    for batch_pk in free:
        batch_advance_task.apply_async((batch_pk,), expires=SWEEP_S)
    return len(free)


@shared_task(name="openai_api.responses_run_task")
def responses_run_task() -> int:
    """Answer responses in the background until none is left; also runs every `SWEEP_S`, for what was left behind."""
    return responses_run()


def responses_nudge() -> None:
    """Have background responses taken up at once; while the broker is away they wait for the sweep."""
    try:
        responses_run_task.apply_async(retry=False, expires=SWEEP_S)
    except OperationalError as exc:
        logger.warning("background responses wait for the broker: %s", exc)
