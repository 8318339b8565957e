"""The doors of /v1: authenticate, parse, ask the pool, answer in OpenAI's shapes."""

from adrf.views import APIView as AsyncAPIView
from django.db import close_old_connections
from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.actors import Actor
from apps.accounts.errors import KeyInvalid
from apps.accounts.services import api_key_authenticate
from apps.core.threads import in_thread
from apps.openai_api.errors import UnknownPath, api_error
from apps.openai_api.shapes import chat_request, model_object
from apps.openai_api.sse import sse_chunks
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.events import HEARTBEAT
from apps.workers.selectors import model_get_offered, models_offered, offered_get


class ApiDoor:
    """What all doors share: a key is needed before anything is read, and errors leave in OpenAI's envelope."""

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


class ModelList(ApiDoor, APIView):
    """`GET /v1/models`"""

    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": [model_object(m) for m in models_offered(self.actor)]})


class ModelDetail(ApiDoor, APIView):
    """`GET /v1/models/{name}`; names may hold slashes."""

    def get(self, request: Request, name: str) -> Response:
        return Response(model_object(offered_get(self.actor, name)))


class ChatCompletions(ApiDoor, AsyncAPIView):
    """`POST /v1/chat/completions`, streamed or whole. A client that leaves cancels its request at the worker."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        # Django would keep the connection until the answer has ended, and the pool has fewer than there may be streams.
        close_old_connections()

    async def post(self, request: Request) -> HttpResponseBase:
        wanted = chat_request(request.data)
        await in_thread(model_get_offered, self.actor, wanted.model)
        call = Call(self.actor, wanted.model, wanted.body)
        if not wanted.is_stream:
            return Response(await relay.complete(call))
        return await _streamed(call)


class UnknownEndpoint(ApiDoor, APIView):
    """Everything else under /v1: refused by name, to those who have a key."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        raise UnknownPath(path=request.path)


async def _streamed(call: Call) -> StreamingHttpResponse:
    events = relay.generate(call)
    # The first event decides the status: until it is there, an error can still be told by one.
    first = await anext(events)
    while first is HEARTBEAT:
        first = await anext(events)
    response = StreamingHttpResponse(sse_chunks(first, events), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response
