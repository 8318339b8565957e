"""Run a piece of ORM code off the event loop. It decides nothing about transactions."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that uses the database in a worker thread with a connection of its own.

    Not thread-sensitive: otherwise all sockets of the process would share one thread, and one query that waits for a
    row lock would hold up every chat.
    """
    result: T = await database_sync_to_async(function, thread_sensitive=False)(*args, **kwargs)
    return result
