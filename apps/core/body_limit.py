"""An ASGI wrapper that refuses an over-long request body, before Django has read any or more of it.

Django's own limit comes later: its ASGI handler writes the whole body to disk first.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from apps.core.middleware import usable_request_id

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    """More bytes arrived than are allowed."""


class BodyLimit:
    """Answer 413, in OpenAI's envelope, to a body over what `limit_of` says in bytes, declared or counted."""

    def __init__(self, app: App, limit_of: Callable[[Scope], Awaitable[int]]) -> None:
        self._app = app
        self._limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        max_bytes = await self._limit_of(scope)
        if _declared(scope) > max_bytes:
            await _refuse(scope, send, max_bytes)
            return
        taken = 0

        async def counted() -> Mapping[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > max_bytes:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            await _refuse(scope, send, max_bytes)


def _declared(scope: Scope) -> int:
    value = _header(scope, b"content-length")
    return int(value) if value.isdigit() else 0


async def _refuse(scope: Scope, send: Send, max_bytes: int) -> None:
    message = f"The request body is over {max_bytes // 1024 // 1024} MiB. Send less at once."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "request_too_large"}
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        # Django's middleware, which does this elsewhere, is never reached.
        (b"x-request-id", usable_request_id(_header(scope, b"x-request-id").decode("latin-1")).encode()),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, wanted: bytes) -> bytes:
    """The first header of this name, which is in small letters; empty without one."""
    return next((bytes(value) for name, value in scope["headers"] if name == wanted), b"")
