"""Run a piece of ORM code, or of computing, off the event loop. It decides nothing about transactions."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

_undoing: set["asyncio.Task[None]"] = set()
"""Kept here because an event loop has only weak references to its tasks."""


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that uses the database in a worker thread, with a connection for this call alone.

    Not by `sync_to_async`: thread-sensitive, all sockets of the process would share one thread, and one query that
    waits for a row lock would hold up every chat; and for each call it costs more than a short query.
    """

    def call() -> T:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.to_thread(call)


async def in_thread_or_undone(function: Callable[[], T], *, undo: Callable[[T], Coroutine[Any, Any, None]]) -> T:
    """As `in_thread`. What it did for a caller that is cancelled meanwhile, once or twice, is undone."""
    work = asyncio.ensure_future(in_thread(function))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # A thread cannot be stopped, and who waits for its end may be cancelled again: so it is undone in a task apart.
        undoing = asyncio.create_task(_undone(work, undo))
        _undoing.add(undoing)
        undoing.add_done_callback(_undoing.discard)
        await asyncio.shield(undoing)
        raise


async def _undone(work: "asyncio.Future[T]", undo: Callable[[T], Coroutine[Any, Any, None]]) -> None:
    await asyncio.wait([work])
    if not work.cancelled() and work.exception() is None:
        await undo(work.result())


class OwnThreads:
    """Threads for one kind of work that may take long. While all are busy it waits for itself, and nothing else does:
    what uses the database has others."""

    def __init__(self, name: str, n_threads: int) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What waits is dropped when its caller is cancelled; what runs goes on to its end."""
        call = partial(copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)
