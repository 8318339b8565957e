"""What all doors of the API share: a key, JSON, errors in OpenAI's envelope, and the way to the pool and back."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic

from adrf.views import APIView as AsyncAPIView
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.actors import Actor
from apps.moderation.answers import AnswerGate
from apps.moderation.bans import ban_check
from apps.moderation.choices import Surface
from apps.openai_api.errors import api_error
from apps.openai_api.keys import actor_of
from apps.openai_api.known_fields import ignored_header
from apps.openai_api.opening import Opening
from apps.openai_api.sse import sse_chunks
from apps.workers import relay
from apps.workers.call import Call

IGNORED_FIELDS_HEADER = "x-fastchat-ignored-fields"

Headers = Callable[[], Awaitable[dict[str, str]]]

LARGE_BODY_BYTES = 64 * 1024
"""JSON beyond this is parsed off the event loop."""


class ApiDoor:
    """A key is needed before anything is read, and errors leave in OpenAI's envelope."""

    actor: Actor
    ignored_fields: tuple[str, ...] = ()
    """Fields of the body that nobody knows; a warning header names them."""

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        self._started_at = monotonic()
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # as in `initial`
        return response

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        self.actor = self.who(request)
        ban_check(self.actor)
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # the view this is mixed into

    def who(self, request: Request) -> Actor:
        """Raises: KeyInvalid."""
        return actor_of(request.META)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Whatever a client says that it accepts: it gets what OpenAI's API would send at this address."""
        return JSONRenderer(), JSONRenderer.media_type

    def handle_exception(self, exc: Exception) -> Response:
        error = api_error(exc)
        return Response(error.body, status=error.status, headers=error.headers)

    def finalize_response(self, request: Request, response: Response, *args: object, **kwargs: object) -> Response:
        final: Response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        # Of a stream: until its first event, which is when its headers go out.
        final["openai-processing-ms"] = str(round(1000 * (monotonic() - self._started_at)))
        if self.ignored_fields:
            final[IGNORED_FIELDS_HEADER] = ignored_header(self.ignored_fields)
        return final


class SyncDoor(ApiDoor, APIView):
    """For what only asks the database."""


class AsyncDoor(ApiDoor, AsyncAPIView):
    """For what waits for a worker. A client that leaves cancels its request there."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        # Django would keep the connection until the answer has ended, and the pool has fewer than there may be streams.
        close_old_connections()


async def body_of(request: Request) -> object:
    """The request's JSON. Raises: ParseError, UnsupportedMediaType."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGE_BODY_BYTES:
        return await asyncio.to_thread(lambda: request.data)
    return request.data


async def answer(call: Call, *, is_stream: bool, headers: Headers) -> HttpResponseBase:
    """Ask the pool and pass on what it says, streamed or whole. `headers` is awaited when the status is known."""
    if not is_stream:
        whole = await AnswerGate(surface=Surface.API, actor=call.actor).whole(await relay.complete(call))
        return Response(whole, headers=await headers())
    opening = Opening(call)
    told = await begun(opening, headers)
    return event_stream(sse_chunks(opening), told)


async def begun(opening: Opening, headers: Headers) -> dict[str, str]:
    """Wait until the status of a stream is known, and await its headers. Raises: as `relay.generate`."""
    try:
        # Until there is an event, or it waits in the queue, an error can still be told by the status.
        await opening.has_begun_or_waits()
        return await headers()
    except BaseException:
        # Nobody reads the stream, so nobody else would close it.
        await opening.aclose()
        raise


def event_stream(frames: AsyncGenerator[bytes, None], headers: dict[str, str]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(frames, content_type="text/event-stream", headers=headers)
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response
