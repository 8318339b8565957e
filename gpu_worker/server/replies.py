"""What goes back over HTTP: errors in OpenAI's envelope, event streams, and answers in one piece.

A reply to a plain call owns its generation: when the client goes away, the generation is cancelled.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gpu_worker.errors import WorkerError
from gpu_worker.server.generations import Generation

RETRY_AFTER_S = 2

OnLeft = Callable[[], None]


class JsonReply(Response):
    """JSON, compact."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


def error_reply(error: WorkerError) -> JsonReply:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.retryable else {}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JsonReply(error.body(), status_code=error.http_status, headers=headers)


class EventStream(Response):
    """A generation's events from `after` on, as server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, generation: Generation, *, after: int = 0, on_left: OnLeft | None = None) -> None:
        """`on_left`: called when the client goes away before the end."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._generation = generation
        self._after = after
        self._on_left = on_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if not await _finishes(self._pump(send), receive) and self._on_left is not None:
            self._on_left()

    async def _pump(self, send: Send) -> None:
        async for events in self._generation.follow(self._after):
            await send({"type": "http.response.body", "body": events, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class WholeAnswer(Response):
    """A generation's answer in one piece, once it has ended."""

    def __init__(self, generation: Generation, *, on_left: OnLeft | None = None) -> None:
        super().__init__()
        self._generation = generation
        self._on_left = on_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await _finishes(self._generation.ended(), receive):
            await self._reply()(scope, receive, send)
        elif self._on_left is not None:
            self._on_left()

    def _reply(self) -> JsonReply:
        if self._generation.error is not None:
            return error_reply(self._generation.error)
        return JsonReply(self._generation.completion())


class WholeReply(Response):
    """What some work replies, unless the client leaves first: then the work is cancelled."""

    def __init__(self, work: Coroutine[Any, Any, Response]) -> None:
        super().__init__()
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replies: list[Response] = []

        async def working() -> None:
            replies.append(await self._work)

        if await _finishes(working(), receive):
            await replies[0](scope, receive, send)


async def _finishes(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Run `work` to its end unless the client leaves first."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_client_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        working.cancel()
        leaving.cancel()


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
