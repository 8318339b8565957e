"""The doors behind which a model works on what it is given: chats, texts, vectors."""

from django.http import HttpResponseBase
from rest_framework.request import Request

from apps.catalog.models import Kind
from apps.core.threads import in_thread
from apps.openai_api.api.door import AsyncDoor, answer, body_of
from apps.openai_api.shapes import ModelRequest, engine_request, model_request
from apps.workers.call import Call, WorkerPath
from apps.workers.selectors import model_get_offered


class ChatCompletions(AsyncDoor):
    """`POST /v1/chat/completions`"""

    async def post(self, request: Request) -> HttpResponseBase:
        wanted = model_request(await body_of(request), needs="messages")
        return await _forward(self, wanted, WorkerPath.CHAT_COMPLETIONS)


class Completions(AsyncDoor):
    """`POST /v1/completions`"""

    async def post(self, request: Request) -> HttpResponseBase:
        wanted = model_request(await body_of(request), needs="prompt")
        return await _forward(self, wanted, WorkerPath.COMPLETIONS)


class Embeddings(AsyncDoor):
    """`POST /v1/embeddings`, and the older `POST /v1/engines/{name}/embeddings`"""

    async def post(self, request: Request, engine: str | None = None) -> HttpResponseBase:
        body = await body_of(request)
        wanted = model_request(body if engine is None else engine_request(body, engine), needs="input")
        return await _forward(self, wanted, WorkerPath.EMBEDDINGS, Kind.EMBEDDING)


async def _forward(door: AsyncDoor, wanted: ModelRequest, path: WorkerPath, kind: Kind = Kind.TEXT) -> HttpResponseBase:
    await in_thread(model_get_offered, door.actor, wanted.model, kind)
    return await answer(Call(door.actor, wanted.model, wanted.body, path), is_stream=wanted.is_stream)
