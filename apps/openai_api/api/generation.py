"""The doors behind which a model works on what it is given: chats, texts, vectors."""

import logging
from functools import partial

from django.http import HttpResponseBase
from rest_framework.request import Request

from apps.core.logs import pseudonym
from apps.core.middleware import request_id_var
from apps.core.threads import in_thread
from apps.openai_api import forwarding
from apps.openai_api.api.door import AsyncDoor, answer, body_of
from apps.openai_api.forwarding import Endpoint, call_for, request_for
from apps.openai_api.metering import limits_told
from apps.openai_api.moderation import call_pass
from apps.openai_api.schema import bodies
from apps.openai_api.schema.describe import described
from apps.openai_api.shapes import engine_request
from apps.workers.call import Call

logger = logging.getLogger(__name__)


class ChatCompletions(AsyncDoor):
    """`POST /v1/chat/completions`"""

    @described(
        "Answer a chat",
        name="chat_completions_create",
        request=bodies.CHAT_REQUEST,
        response=bodies.CHAT_RESPONSE,
        is_streamed=True,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await _forward(self, forwarding.CHAT, await body_of(request))


class Completions(AsyncDoor):
    """`POST /v1/completions`"""

    @described(
        "Complete a text",
        name="completions_create",
        request=bodies.COMPLETION_REQUEST,
        response=bodies.COMPLETION_RESPONSE,
        is_streamed=True,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await _forward(self, forwarding.COMPLETION, await body_of(request))


class Embeddings(AsyncDoor):
    """`POST /v1/embeddings`"""

    @described(
        "Turn texts into vectors",
        name="embeddings_create",
        request=bodies.EMBEDDING_REQUEST,
        response=bodies.EMBEDDING_RESPONSE,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await _forward(self, forwarding.EMBEDDING, await body_of(request))


class EngineEmbeddings(AsyncDoor):
    """`POST /v1/engines/{engine}/embeddings`, the older address, which names the model itself"""

    @described(
        "Turn texts into vectors, at the older address",
        name="engines_embeddings_create",
        request=bodies.ENGINE_EMBEDDING_REQUEST,
        response=bodies.EMBEDDING_RESPONSE,
        path={"engine": "The name of a model."},
    )
    async def post(self, request: Request, engine: str) -> HttpResponseBase:
        return await _forward(self, forwarding.EMBEDDING, engine_request(await body_of(request), engine))


async def _forward(door: AsyncDoor, endpoint: Endpoint, body: object) -> HttpResponseBase:
    wanted = request_for(endpoint, body)
    door.ignored_fields = wanted.ignored_fields
    end_user_note(wanted.end_user)
    call = await call_pass(await in_thread(call_for, endpoint, door.actor, wanted))
    return await answer(call, is_stream=wanted.is_stream, headers=partial(limit_headers, call))


def end_user_note(end_user: str | None) -> None:
    """The one use that is made of it: to find who was behind a request that somebody complains about."""
    if end_user is not None:
        logger.info("request %s is for end user %s", request_id_var.get(), pseudonym(end_user))


async def limit_headers(call: Call) -> dict[str, str]:
    """Of the limits that the call had to keep."""
    return await limits_told(call.actor, call.limits)
