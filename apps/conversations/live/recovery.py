"""Finish what processes that died have left behind, when no page comes back to do it."""

import asyncio
from uuid import uuid4

from apps.conversations.live.reader import Reader
from apps.conversations.selectors.reading import generations_orphaned
from apps.conversations.services import generations
from apps.core.threads import in_thread


async def recover(*, limit: int, within_s: float) -> int:
    """Read up to `limit` orphaned generations to their ends, and return how many were taken.

    What has not ended after `within_s` is let go again, for the next call: nothing is lost by that, because each
    reader begins with the text that was saved and the worker replays the rest.
    """
    tasks: list[asyncio.Task[None]] = []
    for generation_id in await in_thread(generations_orphaned, limit):
        reader_id = uuid4()
        if await in_thread(generations.generation_claim, generation_id, reader_id):
            tasks.append(asyncio.create_task(Reader(generation_id, reader_id).run()))
    if tasks:
        _, unfinished = await asyncio.wait(tasks, timeout=within_s)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
    return len(tasks)
