"""Run a piece of ORM code off the event loop. It decides nothing about transactions."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that uses the database in a worker thread, with a connection for this call alone.

    Not thread-sensitive: otherwise all sockets of the process would share one thread, and one query that waits for a
    row lock would hold up every chat.
    """

    def call() -> T:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await sync_to_async(call, thread_sensitive=False)()
