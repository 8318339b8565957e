"""Calls that are let in together or not at all, as the two of a battle: a limit must not meet the second one alone.

Each then goes its own way to a worker, where its meter finds the reservation. Only where a limit is in force.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from apps.accounts import ledger
from apps.accounts.ledger import CallOpening, Together
from apps.accounts.models import Limit
from apps.accounts.quota import Need
from apps.accounts.selectors import counts_tokens, key_check, limits_in_force
from apps.catalog.selectors import price_get
from apps.core.threads import in_thread
from apps.workers.call import Call
from apps.workers.metering import counting


async def reserve_together(calls: Sequence[tuple[Call, UUID]]) -> None:
    """Reserve for answers that outlive their readers, before any of them is read.

    Raises: as `meter_open`.
    """
    opened = await in_thread(_opened, calls)
    if not any(limits for _, limits in opened):
        return
    needs: Sequence[Need | None] = [None] * len(calls)
    if any(counts_tokens(limits) for _, limits in opened):
        # Of all, so that a limit for one of the models alone does not make one answer shorter than the other.
        needs = await asyncio.gather(*(counting.need_of(call) for call, _ in calls))
    together = [Together(opening, limits, need) for (opening, limits), need in zip(opened, needs, strict=True)]
    await in_thread(partial(ledger.calls_reserve_together, together))


def _opened(calls: Sequence[tuple[Call, UUID]]) -> list[tuple[CallOpening, list[Limit]]]:
    opened = []
    for call, generation_id in calls:
        key_check(call.actor, endpoint=call.endpoint, model_name=call.model)
        opening = CallOpening(call.actor, call.model, call.endpoint, price_get(call.model), generation_id)
        opened.append((opening, limits_in_force(call.actor, call.model)))
    return opened
