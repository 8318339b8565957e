"""Every door through which somebody's text comes in: it passes the gate there, or is named with the reason.

A new door joins one of these lists, or the first test fails.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.accounts.services import NewKey
from apps.arena import frames as arena
from apps.arena.models import Battle
from apps.arena.models.entries import DEFAULT_SLUG
from apps.conversations import frames as chat
from apps.conversations.models import Conversation, Message, Role
from apps.moderation.models import Incident, Rule
from tests.arena.support import fought, model_ready, open_arena_page
from tests.conversations.pages import open_page
from tests.fake_worker import FakeWorker
from tests.moderation.conftest import MODEL
from tests.socket_page import cookies_of

pytestmark = pytest.mark.django_db(transaction=True)

SAID = "Oh bother, again"
EXPORT = [{"messages": [{"role": "user", "content": SAID}, {"role": "assistant", "content": "Hm"}]}]

PAGES: dict[str, dict[str, Any]] = {
    "chats/import": {"file": EXPORT},
    "chat/settings/save": {"system_prompt": SAID},
    "chat/<uuid:conversation_id>/settings/save": {"system_prompt": SAID},
    "chat/<uuid:conversation_id>/rename": {"title": SAID},
    "chat/presets/save": {"preset_name": SAID},
    "chats/change": {"change": "move", "chat": "its id", "folder": SAID},
    "chat/<uuid:conversation_id>/messages/<uuid:message_id>/feedback": {"thumb": "down", "comment": SAID},
}
"""Forms, each with a text in it."""

SCRIPTS = {"chat": [{"message": SAID}, {"message": "Hi", "settings": {"system_prompt": SAID}}]}
"""JSON that scripts send to pages' addresses."""

API = {"v1/chat/completions", "v1/completions", "v1/responses", "v1/batches"}
"""`test_gate` sends texts to each of their fields."""

ARENA_API = {"v1/battles", "v1/battles/<str:battle_id>/messages"}
"""`tests.arena.test_api` sends a text to each."""

FRAMES: list[tuple[type, dict[str, Any]]] = [
    (chat.TurnSend, {"type": "turn.send", "conversation": None, "model": MODEL, "text": SAID}),
    (
        chat.TurnSend,
        {
            "type": "turn.send",
            "conversation": None,
            "model": MODEL,
            "text": "Hi",
            "settings": {"system_prompt": SAID},
        },
    ),
    (
        chat.TurnBeside,
        {"type": "turn.beside", "conversation": None, "models": [MODEL, "owl-7b"], "text": SAID},
    ),
    (chat.TurnEdit, {"type": "turn.edit", "conversation": "chat", "message": "message", "model": MODEL, "text": SAID}),
    (arena.BattleStart, {"type": "battle.start", "arena": DEFAULT_SLUG, "text": SAID}),
    (arena.BattleSend, {"type": "battle.send", "battle": "battle", "turn": 1, "text": SAID}),
]

WITHOUT_TEXTS = {
    chat.TurnRegenerate, chat.TurnContinue, chat.TurnStop, chat.GenerationAttach, chat.ConversationLook,
    arena.BattleVote, arena.BattleReveal, arena.BattleAttach, arena.BattleStop,
}  # fmt: skip

EXEMPT = {
    "chat/images": "an image without words: its own tests show it to the gate",
    "": "leads to the chat",
    "health": "reads nothing",
    "ready": "reads nothing",
    "chat/presets/<uuid:preset_id>/delete": "without texts",
    "chat/<uuid:conversation_id>/branch": "without texts",
    "chat/<uuid:conversation_id>/fork": "its texts have passed",
    "chat/<uuid:conversation_id>/links/create": "a copy: see the chat's own tests of the gate",
    "chat/<uuid:conversation_id>/delete": "without texts",
    "chats/shared/<int:share_id>/revoke": "without texts",
    "account/keys": "the names of keys: no model reads them",
    "account/appeals/<int:pk>": "moderators alone read it, and must see what somebody means",
    "account/appeals/bans/<int:pk>": "moderators alone read it, and must see what somebody means",
    "account/erase": "a password, which is kept nowhere",
    "account/training": "without texts",
    "account/keys/<int:pk>/rotate": "without texts",
    "account/keys/<int:pk>/revoke": "without texts",
    "v1/embeddings": "vectors: nobody reads them",
    "v1/engines/<path:engine>/embeddings": "vectors: nobody reads them",
    "v1/moderations": "it tells what the rules say, and nothing is done",
    "v1/tokenize": "counted, and shown to nobody else",
    "api/v1/token_check": "counted, and shown to nobody else",
    "v1/votes": "without texts",
    "v1/files": "what is in a file passes when a batch is made of it",
    "v1/responses/<str:response_id>/cancel": "without texts",
    "v1/batches/<str:batch_id>/cancel": "without texts",
    "^v1/responses/(compact|input_tokens)$": "refused by name",
    "^(v1|api/v1)/.*$": "refused by name",
    "account/^usage\\.(?P<suffix>csv|json)$": "for reading only",
}

EXAMPLES = {"uuid": str(UUID(int=1)), "int": "1", "slug": "x", "str": "x", "path": "x"}


def routes(patterns: Iterable[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif not route.startswith(("admin/", "accounts/")):
            yield route


def test_every_door_is_known(client: Client, alice: User, key: NewKey) -> None:
    client.force_login(alice)
    unknown = []
    for route in routes(get_resolver().url_patterns):
        if route in EXEMPT or route in PAGES or route in SCRIPTS or route in API | ARENA_API:
            continue
        address = re.sub(r"<(\w+):\w+>", lambda part: EXAMPLES[part[1]], route)
        reply = client.post(f"/{address}", headers={"Authorization": f"Bearer {key.secret}"})
        unknown += [] if reply.status_code == 405 else [route]
    assert unknown == []
    incoming = {*get_args(chat.Incoming), *get_args(arena.Incoming)}
    assert incoming == {frame for frame, _ in FRAMES} | WITHOUT_TEXTS


def chat_of(user: User) -> Message:
    conversation = Conversation.objects.create(user=user, title="Hi", updated_at=timezone.now())
    message = Message.objects.create(conversation=conversation, role=Role.USER, content="Hi")
    Conversation.objects.update(active_leaf=message)
    return message


def filled(route: str, form: dict[str, Any], message: Message) -> tuple[str, dict[str, Any]]:
    """The address and fields of a form about this message."""
    chat_id = str(message.conversation.public_id)
    fields = {
        name: SimpleUploadedFile("chats.jsonl", b"\n".join(json.dumps(one).encode() for one in value))
        if isinstance(value, list)
        else value.replace("its id", chat_id)
        for name, value in form.items()
    }
    address = route.replace("<uuid:conversation_id>", chat_id).replace("<uuid:message_id>", str(message.public_id))
    return address, fields


@pytest.mark.parametrize("route", PAGES)
def test_a_text_in_a_form_passes_the_gate(
    client: Client, alice: User, worker: FakeWorker, rude: Rule, route: str
) -> None:
    client.force_login(alice)
    address, fields = filled(route, PAGES[route], chat_of(alice))
    reply = client.post(f"/{address}", fields)
    assert reply.status_code == 403
    assert "House words (rude)" in reply.content.decode()
    assert Incident.objects.get().surface == "chat"
    assert Conversation.objects.exclude(system_prompt="").count() == 0
    assert not Message.objects.filter(content=SAID).exists()


@pytest.mark.parametrize(("route", "body"), [(route, body) for route, bodies in SCRIPTS.items() for body in bodies])
async def test_a_text_of_a_script_passes_the_gate(
    alice: User, key: NewKey, worker: FakeWorker, rude: Rule, closing: None, route: str, body: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {key.secret}"}
    reply = await AsyncClient().post(f"/{route}", json.dumps(body), content_type="application/json", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "content_policy")
    incident = await sync_to_async(Incident.objects.get)()
    assert (incident.surface, incident.user_id) == ("chat", alice.pk)
    assert not await sync_to_async(Message.objects.exists)()
    assert worker.requests == []


@pytest.mark.parametrize(("kind", "frame"), FRAMES)
async def test_a_text_in_a_frame_passes_the_gate(
    alice: User, worker: FakeWorker, rude: Rule, closing: None, kind: type, frame: dict[str, Any]
) -> None:
    def prepared() -> tuple[Message, Battle]:
        for name in ("owl-7b", "fox-13b"):
            model_ready(name)
        return chat_of(alice), fought(Actor(user_id=alice.pk))

    message, battle = await sync_to_async(prepared)()
    known = {"chat": message.conversation.public_id, "message": message.public_id, "battle": battle.public_id}
    sent = {name: str(known.get(value, value)) if isinstance(value, str) else value for name, value in frame.items()}
    cookies = await sync_to_async(cookies_of)(alice)
    is_chat = kind.__module__ == chat.__name__
    async with open_page(cookies) if is_chat else open_arena_page(cookies) as page:
        assert await page.refused({**sent, "ref": "r"}) == "moderation.refused"
    incident = await sync_to_async(Incident.objects.get)()
    assert (incident.surface, incident.user_id) == ("chat" if is_chat else "arena", alice.pk)
    assert not await sync_to_async(Message.objects.filter(content=SAID).exists)()
    assert worker.requests == []
