"""Wait for the end of a turn, for programs, which get both answers when a page has seen both, and nothing before."""

import asyncio
from uuid import UUID

from django.utils import timezone

from apps.arena import selectors
from apps.arena.live.pacing import whole_at_s
from apps.conversations.live.plain import end_of
from apps.conversations.live.reader import Reader
from apps.conversations.live.registry import reader_of
from apps.conversations.models import GenerationState
from apps.core.threads import in_thread


async def turn_wait(generations: tuple[UUID, UUID], *, is_blind: bool, within_s: float) -> None:
    """Return when all of both may be seen, one has failed, or the time is over; the answers go on in any case."""
    readers = reader_of(generations[0]), reader_of(generations[1])
    try:
        async with asyncio.timeout(within_s):
            if await _have_ended(readers) and is_blind:
                whole_s = whole_at_s(*await in_thread(selectors.written_get, generations))
                await asyncio.sleep(max(0.0, whole_s - timezone.now().timestamp()))
    except TimeoutError:
        return


async def _have_ended(readers: tuple[Reader, Reader]) -> bool:
    """False as soon as one has failed."""
    waits = [asyncio.create_task(end_of(reader)) for reader in readers]
    try:
        for wait in asyncio.as_completed(waits):
            if (await wait).state == GenerationState.FAILED:
                return False
    finally:
        for task in waits:
            task.cancel()
    return True
