"""Wait for the end of a turn, for programs, which get both answers when both are there and nothing before."""

import asyncio
from uuid import UUID

from apps.arena.live.feed import stop_the_other
from apps.conversations.live.plain import end_of
from apps.conversations.live.reader import Reader
from apps.conversations.live.registry import reader_of
from apps.conversations.models import GenerationState


async def turn_wait(generations: tuple[UUID, UUID], *, within_s: float) -> None:
    """Return when both have ended, one has failed, or the time is over; the answers go on in any case."""
    readers = reader_of(generations[0]), reader_of(generations[1])
    try:
        async with asyncio.timeout(within_s):
            await _ended(readers)
    except TimeoutError:
        return
    await stop_the_other(readers)


async def _ended(readers: tuple[Reader, Reader]) -> None:
    waits = [asyncio.create_task(end_of(reader)) for reader in readers]
    try:
        for wait in asyncio.as_completed(waits):
            if (await wait).state == GenerationState.FAILED:
                return
    finally:
        for task in waits:
            task.cancel()
