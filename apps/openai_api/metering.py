"""Calls of the API that no worker is asked for, kept within limits and written into the ledger as a request each.

What asks the pool is metered there (`apps.workers.metering`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from django.db import InterfaceError, OperationalError

from apps.accounts import ledger, settlement
from apps.accounts.actors import Actor
from apps.accounts.ledger import CallOpening
from apps.accounts.models import CallState, Limit
from apps.accounts.quota import Need, Usage
from apps.accounts.selectors import limits_in_force, rate_limit_headers
from apps.core.threads import in_thread, in_thread_or_undone
from apps.workers.metering import renewal

NO_TOKENS = Need(0, 0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counted:
    """A call that was let in. `limits`: those that it must keep."""

    reservation_pk: int
    limits: list[Limit]


@asynccontextmanager
async def counted(actor: Actor, *, endpoint: str, answerer: str) -> AsyncIterator[Counted]:
    """Count what is done inside as one request without tokens; what fails there counts as none.

    `answerer`: what the ledger names in the place of a model.
    Raises: LimitExceeded.
    """
    call = await in_thread_or_undone(
        partial(_reserve, actor, endpoint, answerer), undo=partial(_settle, CallState.STOPPED, Usage(requests=0))
    )
    state, usage = CallState.STOPPED, Usage()
    renewal.keep(call.reservation_pk)  # a slow classifier may take longer than a reservation lasts
    try:
        yield call
        state = CallState.COMPLETE
    except Exception:
        state, usage = CallState.FAILED, Usage(requests=0)
        raise
    finally:
        renewal.let_go(call.reservation_pk)
        # Whoever asked may be leaving: then it is settled behind them.
        await asyncio.shield(_settle(state, usage, call))


async def limits_told(actor: Actor, limits: Sequence[Limit]) -> dict[str, str]:
    """Headers of an answer. None while the database is away: the answer is there, and it was paid for."""
    if not limits:
        return {}
    try:
        return await in_thread(rate_limit_headers, actor, limits)
    except (OperationalError, InterfaceError) as exc:
        logger.warning("an answer is sent without the headers of limits: %s", exc)
        return {}


def _reserve(actor: Actor, endpoint: str, answerer: str) -> Counted:
    limits = limits_in_force(actor, answerer)
    opening = CallOpening(actor, answerer, endpoint)
    return Counted(ledger.call_reserve(opening, limits, NO_TOKENS).pk, limits)


async def _settle(state: CallState, usage: Usage, call: Counted) -> None:
    try:
        await in_thread(settlement.call_settle, call.reservation_pk, usage, state)
    except (OperationalError, InterfaceError) as exc:
        logger.warning("reservation %s is left to expire, which counts it: %s", call.reservation_pk, exc)
