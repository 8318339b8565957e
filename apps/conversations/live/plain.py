"""One answer as its text, for programs: what is new of it, and its end. Pages get it rendered (see `feed`)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from apps.conversations.live.reader import Reader
from apps.conversations.outcomes import Outcome
from apps.core.frames import Frame

FLUSH_EVERY_S = 0.03
HEARTBEAT_S = 15.0
"""Proxies close what is silent for a minute."""


async def end_of(reader: Reader) -> Outcome:
    """Wait for it. Who gives up changes nothing: the answer goes on."""
    changed = reader.subscribe()
    try:
        while reader.outcome is None:
            await changed.wait()
            changed.clear()
        return reader.outcome
    finally:
        reader.unsubscribe(changed)


async def text_frames(reader: Reader) -> AsyncGenerator[Frame | None, None]:
    """Yield the text as it grows, in pieces, up to the end; the place in the queue before it; None as a sign of life.

    A whole `text` comes instead of a piece where the text was found to be another one than was told.
    """
    changed = reader.subscribe()
    try:
        await reader.loaded.wait()
        answer, told, place = reader.answer, "", None
        while True:
            # Before the look: what comes after it sets the event again.
            changed.clear()
            has_ended = reader.outcome is not None
            if reader.answer is not answer:
                answer, told = reader.answer, reader.answer.text
                yield {"type": "text", "text": told}
            elif answer.n_chars > len(told):
                text = answer.text
                piece, told = text[len(told) :], text
                yield {"type": "delta", "text": piece}
            elif has_ended:
                return
            elif reader.place is not None and reader.place != place:
                place = reader.place
                yield {"type": "queued", "place": place.number, "eta_s": place.eta_s}
            elif not await _set_within(changed, HEARTBEAT_S):
                yield None
            else:
                await asyncio.sleep(FLUSH_EVERY_S)
    finally:
        reader.unsubscribe(changed)


async def _set_within(event: asyncio.Event, limit_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    return event.is_set()
