"""The ASGI server's start and stop, as far as the site cares: at the stop, answers are let go of.

Without this (Daphne has no lifespan, and kill -9 asks nobody) another process goes on when the leases have run out.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from apps.conversations.live.registry import readers_release

Message = dict[str, Any]


async def lifespan(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Source: ASGI specification, "Lifespan Protocol"."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await readers_release()
            await send({"type": "lifespan.shutdown.complete"})
            return
