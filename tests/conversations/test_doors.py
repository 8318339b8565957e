"""Charlie, who owns nothing here, knocks on every door; and frames that are in no contract."""

import json
from typing import Any
from uuid import uuid4

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import reverse

from apps.accounts.actors import VISITOR_COOKIE, Actor, visitor_cookie_value
from apps.accounts.models import User
from apps.catalog.models import LanguageModel
from apps.conversations.consumers import ATTACHED_MAX
from apps.conversations.frames import parse
from apps.conversations.models import Conversation, Message
from apps.conversations.services.turns import Turn, turn_start
from apps.conversations.urls import chat_patterns
from apps.core.errors import BadFrame
from apps.core.frames import FRAME_MAX_BYTES
from apps.core.threads import in_thread
from fastchat_site.asgi import application
from tests.conversations.conftest import MODEL, Opens, until_hints_are_heard
from tests.fake_worker import FakeWorker, Gate


def alices_turn(alice: User) -> Turn:
    return turn_start(actor=Actor(user_id=alice.pk), conversation_id=None, model_name=MODEL, text="Alice's secret")


OTHER = "another"
STRANGERS_FRAMES = [
    {"type": "turn.send", "ref": "r", "conversation": "CONVERSATION", "model": MODEL, "text": "Hi"},
    {"type": "turn.beside", "ref": "r", "conversation": "CONVERSATION", "models": [MODEL, OTHER], "text": "Hi"},
    {"type": "turn.regenerate", "ref": "r", "conversation": "CONVERSATION", "model": None},
    {"type": "turn.regenerate", "ref": "r", "conversation": "CONVERSATION", "model": None, "message": "ANSWER"},
    {
        "type": "turn.edit",
        "ref": "r",
        "conversation": "CONVERSATION",
        "message": "QUESTION",
        "model": MODEL,
        "text": "x",
    },
    {"type": "turn.continue", "ref": "r", "conversation": "CONVERSATION"},
    {"type": "conversation.look", "conversation": "CONVERSATION"},
    {"type": "turn.stop", "generation": "GENERATION"},
    {"type": "generation.attach", "generation": "GENERATION"},
]


@pytest.mark.parametrize("frame", STRANGERS_FRAMES, ids=lambda frame: frame["type"])
async def test_charlie_gets_nothing_of_alices_over_the_socket(
    opens: Opens, alice: User, charlie: User, worker: FakeWorker, frame: dict[str, Any]
) -> None:
    await LanguageModel.objects.acreate(name=OTHER)
    turn = await in_thread(alices_turn, alice)
    assert turn.user_message is not None
    known = {
        "CONVERSATION": str(turn.conversation.public_id),
        "GENERATION": str(turn.generation.public_id),
        "QUESTION": str(turn.user_message.public_id),
        "ANSWER": str(turn.assistant_message.public_id),
    }
    asked = {key: known.get(value, value) if isinstance(value, str) else value for key, value in frame.items()}
    for who in (charlie, uuid4()):
        async with opens(who) as page:
            assert await page.refused(asked) == "chat.not_found"
            # The same words as for what does not exist: nobody learns which ids are taken.
            nothing = {k: str(uuid4()) if v in known.values() else v for k, v in asked.items()}
            assert await page.refused(nothing) == "chat.not_found"
    assert await in_thread(Message.objects.count) == 2
    assert not worker.requests
    assert not worker.cancelled


DOORS = {
    pattern.name: set(pattern.pattern.converters)
    for pattern in chat_patterns[0]
    if "conversation_id" in pattern.pattern.converters
}
"""Every address of a chat, by what it names."""


def test_there_are_doors_to_knock_at() -> None:
    assert {"conversation", "messages", "branch", "delete"} <= DOORS.keys()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("who", ["charlie", "a visitor", "nobody"])
def test_charlie_gets_nothing_of_alices_over_http(
    alice: User, charlie: User, model: LanguageModel, door: str, who: str
) -> None:
    turn = alices_turn(alice)
    client = Client()
    if who == "charlie":
        client.force_login(charlie)
    elif who == "a visitor":
        client.cookies[VISITOR_COOKIE] = visitor_cookie_value(uuid4())
    message = turn.assistant_message.public_id
    ids = {"conversation_id": turn.conversation.public_id, "message_id": message}
    url = reverse(f"chat:{door}", kwargs={name: ids[name] for name in DOORS[door]})
    sent = {"title": "mine now", "message": str(message), "thumb": "up"}
    responses = {way: getattr(client, way)(url, sent) for way in ("get", "post")}
    assert sorted(response.status_code for response in responses.values()) in ([404, 404], [404, 405])
    assert not any(b"secret" in response.content for response in responses.values())
    assert Conversation.objects.get().title == "Alice's secret"


def test_charlies_history_holds_nothing_of_alices(alice: User, charlie: User, model: LanguageModel) -> None:
    alices_turn(alice)
    for client, n_titles in ((Client(), 0), (Client(), 1)):
        client.force_login(alice if n_titles else charlie)
        response = client.get("/chat/history")
        assert response.content.decode().count("secret") >= n_titles
        assert (b"secret" in response.content) == bool(n_titles)


async def test_charlies_pages_hear_no_hint_about_alices(
    opens: Opens, alice: User, charlie: User, worker: FakeWorker
) -> None:
    async with opens(alice) as alices, opens(charlie) as charlies:
        await until_hints_are_heard()
        await alices.ask("Alice's secret")
        assert (await alices.until("conversation.changed"))["title"] == "Alice's secret"
        own = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "Charlie's own"}
        await charlies.send(own)
        # Hints keep their order, so hers would come before his own.
        while (frame := await charlies.next())["type"] != "conversation.changed":
            pass
        assert frame["title"] == "Charlie's own"


def test_a_forged_visitor_cookie_is_nobody(model: LanguageModel) -> None:
    owner = uuid4()
    actor = Actor(visitor_public_id=owner)
    turn = turn_start(actor=actor, conversation_id=None, model_name=MODEL, text="Hi")
    client = Client()
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(owner)[:-1] + "x"
    assert client.get(f"/chat/{turn.conversation.public_id}").status_code == 404
    client.cookies[VISITOR_COOKIE] = visitor_cookie_value(owner)
    assert client.get(f"/chat/{turn.conversation.public_id}").status_code == 200


async def test_another_sites_page_cannot_open_the_socket(transactional_db: None) -> None:
    headers = [(b"origin", b"https://evil.example")]
    communicator = WebsocketCommunicator(application, "/ws/chat", headers=headers)
    connected, _ = await communicator.connect()
    assert not connected


MALFORMED = {
    "no json": "{",
    "a list": "[]",
    "no type": "{}",
    "a number as type": '{"type": 7}',
    "unknown type": '{"type": "turn.explode"}',
    "edit without a message": '{"type": "turn.edit", "ref": "r", "conversation": null, "model": "m", "text": "x"}',
    "missing field": '{"type": "turn.stop"}',
    "unknown field": json.dumps({"type": "turn.stop", "generation": str(uuid4()), "force": True}),
    "no id": '{"type": "turn.stop", "generation": "12"}',
    "number as id": '{"type": "generation.attach", "generation": 12}',
    "text is a list": '{"type": "turn.send", "ref": "r", "conversation": null, "model": "m", "text": []}',
    "long ref": json.dumps({"type": "turn.regenerate", "ref": "r" * 101, "conversation": str(uuid4()), "model": None}),
    "deep": "[" * 100_000,
    "huge": " " * (FRAME_MAX_BYTES + 1),
    "huge in bytes": '"' + "ü" * (FRAME_MAX_BYTES // 2) + '"',
    "big number": '{"type": "turn.stop", "generation": ' + "9" * 5000 + "}",
    "surrogate": '"\ud800"',
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_frame_is_told_apart(text: str) -> None:
    with pytest.raises(BadFrame) as caught:
        parse(text)
    assert caught.value.message.endswith("Reload the page.")


async def test_after_each_malformed_frame_the_socket_stays(opens: Opens, alice: User) -> None:
    async with opens(alice) as page:
        for text in MALFORMED.values():
            await page.send_raw(text)
            answer = await page.next()
            assert (answer["type"], answer["error"]["code"]) == ("error", "site.bad_frame")
        assert await page.refused({"type": "turn.stop", "generation": str(uuid4())}) == "chat.not_found"


async def test_a_binary_frame_gets_an_error(opens: Opens, alice: User) -> None:
    async with opens(alice) as page:
        await page.send_raw(data=b"\x00\xff")
        assert (await page.next())["error"]["code"] == "site.bad_frame"


async def test_a_page_cannot_follow_more_answers_than_a_page_can_show(
    opens: Opens, alice: User, worker: FakeWorker
) -> None:
    gate = Gate()
    async with opens(alice) as page:
        ended = (await page.ask("Hi"))["generation"]
        await page.until_end(ended)
        for _ in range(ATTACHED_MAX):
            worker.play(gate)
            await page.ask("Hi")
        send = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "One more"}
        assert await page.refused(send) == "chat.too_many_attached"
        assert await page.refused({"type": "generation.attach", "generation": ended}) == "chat.too_many_attached"
        gate.open()
        for generation in list(page.answers):
            await page.until_end(generation)
        assert (await page.ask("Now there is room"))["generation"]


async def test_a_fault_of_ours_is_told_logged_and_does_not_close_the_socket(
    opens: Opens, alice: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("apps.conversations.begin.turn_start", broken)
    send = {"type": "turn.send", "ref": "r", "conversation": None, "model": MODEL, "text": "Hi"}
    async with opens(alice) as page:
        assert await page.refused(send) == "site.internal"
        assert "ZeroDivisionError" in caplog.text
        assert await page.refused({"type": "turn.stop", "generation": str(uuid4())}) == "chat.not_found"
