"""One subscriber's view of a generation, as the frames of the chat socket.

A subscriber has no queue, only a mark of how far it was brought up to date. Whoever reads slowly gets fewer and larger
frames: nothing is dropped, and the memory for a subscriber does not grow.
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from apps.conversations import frames
from apps.conversations.live.reader import Reader
from apps.core.frames import Frame
from apps.workers.fairness import Place

FLUSH_EVERY_S = 0.03
"""Eyes cannot tell; 32 streams of fast models can: each frame costs a JSON document and a write for every page."""

RENDERED_IN_PLACE_CHARS = 4000
"""About 10 ms of work at the worst."""


async def follow(reader: Reader) -> AsyncGenerator[Frame, None]:
    """Yield the snapshot, then what is new since the last frame, then the end."""
    changed = reader.subscribe()
    try:
        await reader.loaded.wait()
        mark = _Mark(reader)
        yield await mark.snapshot()
        while True:
            has_ended = reader.outcome is not None
            if (frame := await mark.advance()) is not None or (frame := mark.place()) is not None:
                yield frame
            if has_ended:
                break
            if frame is not None:
                await asyncio.sleep(FLUSH_EVERY_S)
            await changed.wait()
            changed.clear()
        assert reader.outcome is not None  # noqa: S101  # it never goes back to None
        yield frames.end(reader.generation_id, reader.outcome)
    finally:
        reader.unsubscribe(changed)


class _Mark:
    """How far a subscriber was brought up to date."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._answer = reader.answer
        self._n_blocks = 0
        self._tail = ""
        self._place: Place | None = None

    def place(self) -> Frame | None:
        """Where the answer stands in the queue, or that it has left it, if the subscriber does not know it yet."""
        place = self._reader.place
        if place == self._place or self._answer.has_begun:
            return None
        self._place = place
        return frames.queued(self._reader.generation_id, place)

    async def snapshot(self) -> Frame:
        await _bring_up_to_date(self._reader)
        answer = self._answer = self._reader.answer
        self._n_blocks, self._tail = len(answer.blocks), answer.tail
        return frames.snapshot(self._reader.generation_id, self._reader.state, answer.blocks, answer.tail)

    async def advance(self) -> Frame | None:
        """The frame that takes the subscriber from its mark to now, or None if nothing changed."""
        await _bring_up_to_date(self._reader)
        answer = self._reader.answer
        if answer is not self._answer:
            return await self.snapshot()
        n_seen, seen_tail = self._n_blocks, self._tail
        self._n_blocks, self._tail = len(answer.blocks), answer.tail
        if self._n_blocks > n_seen:
            return frames.finished_blocks(self._reader.generation_id, answer.blocks[n_seen:], self._tail)
        if self._tail == seen_tail:
            return None
        if self._tail.startswith(seen_tail):
            return frames.delta(self._reader.generation_id, self._tail[len(seen_tail) :])
        return frames.finished_blocks(self._reader.generation_id, [], self._tail)


async def _bring_up_to_date(reader: Reader) -> None:
    """Render what came since the last time, and all of it once the answer has ended.

    A page that comes late to a long answer asks for up to a quarter of a second of Markdown: not on the event loop.
    """
    async with reader.rendering:
        render = partial(reader.answer.render, is_whole=reader.outcome is not None)
        if reader.answer.n_unrendered_chars > RENDERED_IN_PLACE_CHARS:
            await asyncio.to_thread(render)
        else:
            render()
