"""What all doors of the API share: a key, JSON, errors in OpenAI's envelope, and the way to the pool and back."""

import asyncio

from adrf.views import APIView as AsyncAPIView
from django.db import close_old_connections
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.actors import Actor
from apps.accounts.errors import KeyInvalid
from apps.accounts.services import api_key_authenticate
from apps.openai_api.errors import UnknownPath, api_error
from apps.openai_api.sse import sse_chunks
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.events import HEARTBEAT

LARGE_BODY_BYTES = 64 * 1024
"""JSON beyond this is parsed off the event loop."""


class ApiDoor:
    """A key is needed before anything is read, and errors leave in OpenAI's envelope."""

    actor: Actor

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise KeyInvalid
        self.actor = api_key_authenticate(secret.strip())
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # the view this is mixed into

    def handle_exception(self, exc: Exception) -> Response:
        error = api_error(exc)
        return Response(error.body, status=error.status, headers=error.headers)


class SyncDoor(ApiDoor, APIView):
    """For what only asks the database."""


class AsyncDoor(ApiDoor, AsyncAPIView):
    """For what waits for a worker. A client that leaves cancels its request there."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        # Django would keep the connection until the answer has ended, and the pool has fewer than there may be streams.
        close_old_connections()


class UnknownEndpoint(SyncDoor):
    """Everything else under /v1: refused by name, to those who have a key."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        raise UnknownPath(path=request.path)


async def body_of(request: Request) -> object:
    """The request's JSON. Raises: ParseError, UnsupportedMediaType."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGE_BODY_BYTES:
        return await asyncio.to_thread(lambda: request.data)
    return request.data


async def answer(call: Call, *, is_stream: bool) -> HttpResponseBase:
    """Ask the pool and pass on what it says, streamed or whole."""
    if not is_stream:
        return Response(await relay.complete(call))
    events = relay.generate(call)
    # The first event decides the status: until it is there, an error can still be told by one.
    first = await anext(events)
    while first is HEARTBEAT:
        first = await anext(events)
    response = StreamingHttpResponse(sse_chunks(first, events), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response
