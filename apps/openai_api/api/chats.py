"""`/chat` for scripts: say something in a chat that is kept, list chats, read one. For people it is a page.

A script comes with a key, or with a signed-in session and its CSRF token. What it says takes the way of the page: the
same gate, the same limits, and the answer goes on when nobody waits for it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.actors import Actor, actor_get
from apps.accounts.errors import KeyInvalid
from apps.accounts.models import Endpoint
from apps.accounts.selectors import endpoint_check, key_check
from apps.conversations.begin import turn_begin
from apps.conversations.frames import TurnSend
from apps.conversations.hints import Hint, hint_send
from apps.conversations.live.plain import end_of, text_frames
from apps.conversations.live.reader import Reader
from apps.conversations.live.registry import reader_of
from apps.conversations.selectors.conversations import conversation_get, path_list
from apps.conversations.selectors.history import chats_by_id, chats_page
from apps.conversations.selectors.search import chats_search
from apps.conversations.services.turns import Turn
from apps.conversations.views.pages import chat_new
from apps.conversations.views.support import wants_json
from apps.core.threads import in_thread
from apps.openai_api.api.door import AsyncDoor, body_of, event_stream
from apps.openai_api.chat_shapes import Said, chat_id, chat_object, list_object, said_read, turn_object
from apps.openai_api.errors import NoModel, failure_error
from apps.openai_api.shapes import Json, query_flag
from apps.openai_api.sse import comment
from apps.workers.selectors import models_offered

WAIT_S = 120.0
"""For a whole answer; after that it is returned as `running`, to be read later."""


class ChatDoor(AsyncDoor):
    """`POST /chat`, `GET /chat`, `GET /chat?conversation=ID`"""

    def who(self, request: Request) -> Actor:
        if "HTTP_AUTHORIZATION" in request.META:
            actor = super().who(request)
            endpoint_check(actor, Endpoint.CHATS)
            return actor
        asked: Any = request._request
        actor = actor_get(asked.user, {})
        if actor.user_id is None:
            raise KeyInvalid
        # A browser sends a session's cookie whichever page asks for it.
        SessionAuthentication().enforce_csrf(asked)
        return actor

    async def get(self, request: Request) -> Response:
        return Response(await in_thread(self._read, request.query_params))

    async def post(self, request: Request) -> HttpResponseBase:
        said = said_read(await body_of(request))
        self.ignored_fields = said.ignored_fields
        model = await in_thread(self._model, said)
        frame = TurnSend("", said.conversation, model, said.text, said.settings, leaf=None)
        turn = await turn_begin(self.actor, frame)
        reader = reader_of(turn.generation.public_id)
        conversation = turn.conversation
        await hint_send(self.actor, Hint(conversation.public_id, conversation.title, turn.assistant_message.public_id))
        if said.is_stream:
            return event_stream(_events(turn, reader), {})
        with suppress(TimeoutError):  # it goes on, and is told as running
            async with asyncio.timeout(WAIT_S):
                await end_of(reader)
        outcome = reader.outcome
        told = turn_object(turn, reader.answer.text, outcome)
        if outcome is None or outcome.error is None:
            return Response(told)
        failed = failure_error(outcome.error.code, outcome.error.message)
        return Response(told | failed.body, status=failed.status, headers=failed.headers)

    def _model(self, said: Said) -> str:
        """The name of the one that is to answer. Raises: ChatNotFound, NoModel; KeyInvalid, ModelNotAllowed."""
        name = said.model
        if name is None and said.conversation is not None:
            last = conversation_get(self.actor, said.conversation).active_leaf
            name = last.model.name if last is not None and last.model is not None else None
        if name is None:
            name = next((model.name for model in models_offered(self.actor) if model.is_default), None)
        if name is None:
            raise NoModel
        key_check(self.actor, endpoint=Endpoint.CHATS, model_name=name)
        return name

    def _read(self, query: Mapping[str, str]) -> Json:
        """Raises: ChatNotFound, NotFound, SearchTooBroad, InvalidRequest."""
        if "conversation" in query:
            conversation = conversation_get(self.actor, chat_id(query["conversation"]))
            return chat_object(conversation, path_list(conversation))
        if text := query.get("search"):
            found = dict.fromkeys(hit.conversation for hit in chats_search(self.actor, text))
            return list_object(chats_by_id(self.actor, list(found)), older="")
        page = chats_page(
            self.actor,
            folder=query.get("folder", ""),
            is_archived=query_flag(query, "archived"),
            before=chat_id(query["before"]) if "before" in query else None,
        )
        return list_object(page.items, page.older)


async def _events(turn: Turn, reader: Reader) -> AsyncGenerator[bytes, None]:
    """The turn, the text of its answer as it grows, and the turn again when that has ended. Whoever leaves misses the
    rest and stops nothing."""
    yield _event({"type": "begun", "turn": turn_object(turn, "", None)})
    async with aclosing(text_frames(reader)) as frames:
        async for frame in frames:
            yield comment("heartbeat") if frame is None else _event(frame)
    yield _event({"type": "end", "turn": turn_object(turn, reader.answer.text, reader.outcome)})


def _event(values: Json) -> bytes:
    return f"data: {json.dumps(values)}\n\n".encode()


_page = sync_to_async(chat_new)
_door = ChatDoor.as_view()


@never_cache
@csrf_exempt  # the door asks for the token where a session opens it, and the page only reads
async def chat(request: HttpRequest) -> HttpResponseBase:
    """`/chat`: a page for people, a door for scripts, which come with a key or say that they accept JSON."""
    is_reading = request.method in ("GET", "HEAD")
    if is_reading and "Authorization" not in request.headers and not wants_json(request):
        return await _page(request)
    response: HttpResponseBase = await _door(request)
    return response
