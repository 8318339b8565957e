"""The readers of this process, one for each generation that it reads."""

import asyncio
from uuid import UUID
from weakref import WeakKeyDictionary

from apps.conversations.live.reader import Reader

# A process has one event loop; the tests have many, and must not meet each other's tasks.
_readers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[UUID, Reader]] = WeakKeyDictionary()
_tasks: set["asyncio.Task[None]"] = set()
"""Kept here because an event loop has only weak references to its tasks."""


def reader_of(generation_id: UUID) -> Reader:
    """Return the reader of this generation in this process, starting one if there is none.

    An ended generation gets one too: it loads the text and the end from the row, and is forgotten again.
    """
    readers = _readers.setdefault(asyncio.get_running_loop(), {})
    reader = readers.get(generation_id)
    if reader is None:
        reader = readers[generation_id] = Reader(generation_id)
        task = asyncio.create_task(reader.run(), name=f"read generation {generation_id}")
        _tasks.add(task)

        def forget(task: "asyncio.Task[None]") -> None:
            _tasks.discard(task)
            readers.pop(generation_id, None)

        task.add_done_callback(forget)
    return reader


async def readers_release() -> None:
    """Let go of everything that this process reads, because it is about to end; others go on at once."""
    loop = asyncio.get_running_loop()
    tasks = [task for task in _tasks if task.get_loop() is loop]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
