"""`/chat` for scripts: with a key or a session, whole or streamed, and nothing of anybody else's."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from apps.accounts.actors import Actor
from apps.accounts.key_scope import KeyScope
from apps.accounts.models import Endpoint, LedgerEntry, Metric, User
from apps.accounts.services import api_key_create, api_key_revoke
from apps.conversations.live.plain import end_of
from apps.conversations.live.registry import reader_of, readers_release
from apps.conversations.models import Conversation, Generation, Message
from apps.conversations.services.turns import turn_start
from apps.core.threads import in_thread
from apps.openai_api.api import chats
from tests.accounts.support import limit
from tests.conversations.conftest import MODEL, Opens
from tests.fake_worker import Fail, FakeWorker, Gate


@pytest_asyncio.fixture(autouse=True)
async def released(transactional_db: None) -> AsyncIterator[None]:
    yield
    await readers_release()
    await sync_to_async(connections.close_all)()


class Script:
    """Calls `/chat` with a key, or as a browser's session does."""

    def __init__(self, client: AsyncClient, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers

    async def post(self, status: int = 200, **body: Any) -> Any:
        sent = json.dumps(body)
        reply = await self.client.post("/chat", sent, content_type="application/json", headers=self.headers)
        assert reply.status_code == status, reply.content
        return json.loads(reply.content)

    async def get(self, status: int = 200, **query: str) -> Any:
        reply = await self.client.get("/chat", query, headers=self.headers | {"Accept": "application/json"})
        assert reply.status_code == status, reply.content
        return json.loads(reply.content)


async def with_key(user: User | None, **scope: Any) -> Script:
    made = await in_thread(api_key_create, name=f"key {scope}", user=user, scope=KeyScope(**scope))
    return Script(AsyncClient(), {"Authorization": f"Bearer {made.secret}"})


async def answered() -> None:
    """Wait for the end of the only answer."""
    await end_of(reader_of(await in_thread(lambda: Generation.objects.get().public_id)))


async def with_session(user: User) -> Script:
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(user)
    await client.get("/chat")
    return Script(client, {"X-CSRFToken": client.cookies["csrftoken"].value})


@pytest.mark.parametrize("who", ["a user's key", "a key of the installation", "a session"])
async def test_a_script_says_something_and_goes_on(alice: User, worker: FakeWorker, who: str) -> None:
    script = await (with_session(alice) if who == "a session" else with_key(alice if "user" in who else None))
    worker.play("One.")
    turn = await script.post(message="Hi", settings={"system_prompt": "Be short.", "temperature": 0.5})
    assert (turn["object"], turn["title"], turn["answer"]["status"]) == ("chat.turn", "Hi", "complete")
    assert (turn["answer"]["text"], turn["answer"]["model"]) == ("One.", MODEL)
    assert turn["answer"]["usage"]["completion_tokens"] == 1
    worker.play("Two.")
    again = await script.post(message="More", conversation=turn["conversation"])
    assert (again["conversation"], again["answer"]["text"]) == (turn["conversation"], "Two.")

    asked = worker.requests[-1]
    assert [message["content"] for message in asked["messages"]] == ["Be short.", "Hi", "One.", "More"]
    assert asked["temperature"] == 0.5
    chat = await script.get(conversation=turn["conversation"])
    assert [(said["role"], said["text"]) for said in chat["messages"]] == [
        ("user", "Hi"),
        ("assistant", "One."),
        ("user", "More"),
        ("assistant", "Two."),
    ]
    assert [listed["id"] for listed in (await script.get())["data"]] == [turn["conversation"]]
    entries = await in_thread(lambda: list(LedgerEntry.objects.all()))
    by_key = who != "a session"
    assert {(entry.endpoint == Endpoint.CHATS, entry.api_key_id is not None) for entry in entries} == {(by_key, by_key)}


async def test_an_answer_is_streamed_as_it_comes_and_goes_on_without_its_reader(
    alice: User, worker: FakeWorker
) -> None:
    script, gate, last = await with_key(alice), Gate(), Gate()
    worker.play("Hello", gate, " there", last, ".")
    body = json.dumps({"message": "Hi", "stream": True})
    reply: Any = await script.client.post("/chat", body, content_type="application/json", headers=script.headers)
    assert (reply.status_code, reply["Content-Type"]) == (200, "text/event-stream")
    events = aiter(reply)

    async def until(kind: str) -> Any:
        async for data in events:
            assert data.startswith(b"data: ")
            event = json.loads(data.removeprefix(b"data: "))
            if event["type"] == kind:
                return event
        raise AssertionError(f"no event of the type {kind}")

    begun = await until("begun")
    assert begun["turn"]["answer"]["status"] == "running"
    assert (await until("delta"))["text"] == "Hello"
    gate.open()
    assert (await until("delta"))["text"] == " there"
    await events.aclose()
    last.open()
    await answered()
    chat = await script.get(conversation=begun["turn"]["conversation"])
    assert (chat["messages"][-1]["text"], chat["messages"][-1]["status"]) == ("Hello there.", "complete")


async def test_the_pieces_of_a_stream_are_the_answer_and_its_end_tells_it_whole(
    alice: User, worker: FakeWorker
) -> None:
    script = await with_key(alice)
    worker.play(*"abcdefgh")
    body = json.dumps({"message": "Hi", "stream": True, "model": MODEL})
    reply: Any = await script.client.post("/chat", body, content_type="application/json", headers=script.headers)
    events = [json.loads(data.removeprefix(b"data: ")) async for data in reply]
    assert "".join(event["text"] for event in events if event["type"] == "delta") == "abcdefgh"
    assert (events[0]["type"], events[-1]["type"]) == ("begun", "end")
    answer = events[-1]["turn"]["answer"]
    assert (answer["text"], answer["status"], answer["finish_reason"]) == ("abcdefgh", "complete", "stop")


async def test_an_answer_that_fails_is_an_error_with_its_chat(alice: User, worker: FakeWorker) -> None:
    script = await with_key(alice)
    worker.play("Half", Fail())
    turn = await script.post(502, message="Hi")
    assert (turn["error"]["code"], turn["answer"]["status"]) == ("worker_failed", "failed")
    assert turn["answer"]["text"] == "Half"
    chat = await script.get(conversation=turn["conversation"])
    assert (chat["messages"][-1]["status"], chat["messages"][-1]["error"]["code"]) == ("failed", "worker_failed")


async def test_an_answer_that_takes_long_is_told_as_running(
    alice: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "WAIT_S", 0.2)
    script, gate = await with_key(alice), Gate()
    worker.play("Hel", gate, "lo")
    turn = await script.post(message="Hi")
    assert turn["answer"]["status"] == "running"
    assert (await script.post(409, message="And?", conversation=turn["conversation"]))["error"]["code"] == (
        "answer_running"
    )
    gate.open()
    await answered()
    chat = await script.get(conversation=turn["conversation"])
    assert chat["messages"][-1]["text"] == "Hello"


async def test_limits_hold_for_scripts_too(alice: User, worker: FakeWorker) -> None:
    await in_thread(limit, 1, Metric.REQUESTS, user=alice)
    script = await with_key(alice)
    await script.post(message="Hi")
    turn = await script.post(429, message="Hi again")
    assert (turn["error"]["code"], turn["answer"]["status"]) == ("limit_exceeded", "failed")


NOBODYS = str(UUID(int=7))
"""Of no conversation. The same in each process of a test run, because tests are named by it."""
WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "missing_required_parameter"),
    ({"message": 7}, 400, "invalid_value"),
    ({"message": " "}, 400, "empty_message"),
    ({"message": "x" * 100_001}, 400, "message_too_long"),
    ({"message": "Hi", "conversation": "12"}, 404, "not_found"),
    ({"message": "Hi", "conversation": NOBODYS}, 404, "not_found"),
    ({"message": "Hi", "model": "none"}, 404, "model_not_found"),
    ({"message": "Hi", "stream": "yes"}, 400, "invalid_value"),
    ({"message": "Hi", "settings": {"colour": "red"}}, 400, "invalid_value"),
    ({"message": "Hi", "settings": {"temperature": [1]}}, 400, "invalid_value"),
    ({"message": "Hi", "settings": {"temperature": 7}}, 400, "setting_refused"),
    ({"message": "Hi", "settings": {}, "conversation": NOBODYS}, 400, "invalid_value"),
]


@pytest.mark.parametrize(("body", "status", "code"), WRONG, ids=lambda value: str(value)[:40])
async def test_what_is_wrong_is_refused_by_name_and_stores_nothing(
    alice: User, worker: FakeWorker, body: dict[str, Any], status: int, code: str
) -> None:
    script = await with_key(alice)
    assert (await script.post(status, **body))["error"]["code"] == code
    assert await in_thread(Conversation.objects.count) == 0
    assert worker.requests == []


async def test_nobody_comes_in_without_a_key_or_a_token(alice: User, worker: FakeWorker) -> None:
    nobody = Script(AsyncClient(enforce_csrf_checks=True), {})
    assert (await nobody.post(401, message="Hi"))["error"]["code"] == "invalid_api_key"
    assert (await nobody.get(401))["error"]["code"] == "invalid_api_key"
    session = await with_session(alice)
    session.headers = {}
    assert "CSRF" in (await session.post(403, message="Hi"))["error"]["message"]
    for scope in ({"endpoints": [Endpoint.CHAT]}, {"model_names": ["other"]}):
        script = await with_key(alice, **scope)
        assert (await script.post(403, message="Hi", model=MODEL))["error"]["type"] == "permission_error"
    assert await in_thread(Message.objects.count) == 0
    allowed = await with_key(alice, endpoints=[Endpoint.CHATS], model_names=[MODEL])
    assert (await allowed.post(message="Hi"))["answer"]["status"] == "complete"


async def test_a_key_finds_what_it_began_and_nothing_else(alice: User, charlie: User, worker: FakeWorker) -> None:
    own = Actor(user_id=alice.pk)
    await in_thread(lambda: turn_start(actor=own, conversation_id=None, model_name=MODEL, text="Alice's secret"))
    typed = str(await in_thread(lambda: Conversation.objects.get().public_id))
    hers, theirs, his = await with_key(alice), await with_key(None), await with_session(charlie)
    begun = (await hers.post(message="Alice's other secret"))["conversation"]
    assert [chat["id"] for chat in (await hers.get())["data"]] == [begun]
    assert (await hers.get(404, conversation=typed))["error"]["code"] == "not_found"
    for stranger in (theirs, his):
        assert (await stranger.get())["data"] == (await stranger.get(search="secret"))["data"] == []
        for chat in (typed, begun):
            assert (await stranger.get(404, conversation=chat))["error"]["code"] == "not_found"
            assert (await stranger.post(404, message="Hi", conversation=chat))["error"]["code"] == "not_found"
    person = await with_session(alice)
    assert {chat["id"] for chat in (await person.get())["data"]} == {typed, begun}


async def test_a_chat_that_its_person_goes_on_with_is_the_persons(
    alice: User, worker: FakeWorker, opens: Opens
) -> None:
    """Else it would count for a key, and stop when that is revoked."""
    made = await in_thread(api_key_create, name="k", user=alice)
    script = Script(AsyncClient(), {"Authorization": f"Bearer {made.secret}"})
    begun = (await script.post(message="Hi"))["conversation"]
    await in_thread(api_key_revoke, made.key)
    async with opens(alice) as page:
        await page.send({"type": "turn.send", "ref": "r", "conversation": begun, "model": MODEL, "text": "And?"})
        assert (await page.until("generation.end"))["state"] == "complete"
    entries = await in_thread(lambda: list(LedgerEntry.objects.order_by("pk")))
    assert [entry.api_key_id for entry in entries] == [made.key.pk, None]


async def test_lists_are_filtered_and_paged(alice: User, monkeypatch: pytest.MonkeyPatch, worker: FakeWorker) -> None:
    monkeypatch.setattr("apps.conversations.selectors.history.PAGE_SIZE", 2)
    script = await with_session(alice)
    ids = [(await script.post(message=f"About {name}"))["conversation"] for name in ("owls", "foxes", "owls")]
    first = await script.get()
    assert [chat["id"] for chat in first["data"]] == ids[:0:-1]
    assert [chat["id"] for chat in (await script.get(before=first["before"]))["data"]] == ids[:1]
    assert {chat["id"] for chat in (await script.get(search="owls"))["data"]} == {ids[0], ids[2]}
    await in_thread(lambda: Conversation.objects.filter(public_id=ids[0]).update(is_archived=True))
    assert [chat["id"] for chat in (await script.get(archived="true"))["data"]] == ids[:1]
    await in_thread(lambda: Conversation.objects.filter(public_id=ids[1]).update(folder="Zoo"))
    assert [chat["id"] for chat in (await script.get(folder="Zoo"))["data"]] == ids[1:2]
    assert (await script.get(400, archived="perhaps"))["error"]["param"] == "archived"


async def test_a_browser_still_gets_the_page(alice: User, worker: FakeWorker) -> None:
    script = await with_session(alice)
    page = await script.client.get("/chat")
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "no-store" in page["Cache-Control"]
