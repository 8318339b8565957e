"""Responses when something goes wrong: readers that leave, workers and runners that die, strangers, and bounds."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections
from django.db.models import F
from django.test import AsyncClient, Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from apps.accounts.key_scope import KeyScope
from apps.accounts.models import Audience, Endpoint, LedgerEntry, Limit, Metric, Period, Reservation, User
from apps.accounts.services import NewKey, api_key_create
from apps.core.outbound import http_client
from apps.openai_api import selectors
from apps.openai_api.models import ResponseState, StoredResponse
from apps.openai_api.responses import streaming
from apps.openai_api.responses.runner import _Runner, responses_run
from apps.openai_api.services import responses
from apps.privacy.models import Kept
from apps.privacy.services.retention import retention_run
from apps.workers.models import Worker
from gpu_worker.protocol import WorkerErrorCode
from tests.accounts.support import ledger_of
from tests.fake_worker import Fail, FakeWorker, Gate, Refuse, enrol, fake_worker

# Transactional: what is asked of the pool is kept by threads with connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)

ASK: dict[str, Any] = {"model": "tiny", "input": "Hi"}


@pytest.fixture
def worker() -> Any:
    with fake_worker() as worker:
        yield worker


@pytest.fixture
def pool(worker: FakeWorker, db: None) -> Worker:
    return enrol(worker, "tiny")


def headers_of(key: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.secret}"}


def create(client: Client, key: NewKey, **changes: Any) -> Any:
    return client.post("/v1/responses", ASK | changes, content_type="application/json", headers=headers_of(key))


async def stream(key: NewKey, **changes: Any) -> AsyncIterator[bytes]:
    body = ASK | {"stream": True} | changes
    reply: Any = await AsyncClient().post(
        "/v1/responses", body, content_type="application/json", headers=headers_of(key)
    )
    assert reply.status_code == 200
    frames: AsyncIterator[bytes] = reply.streaming_content
    return frames


async def read_all(frames: AsyncIterator[bytes]) -> bytes:
    return b"".join([frame async for frame in frames])


def events_in(frames: bytes) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(b"data: ")) for line in frames.split(b"\n") if line.startswith(b"data: ")]


async def closed() -> None:
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


# --- Streams ----------------------------------------------------------------------------------------------------------


async def test_who_leaves_a_stream_cancels_it_and_finds_what_came(
    alice: User, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    gate = Gate()
    worker.play("one ", "two ", gate, "three")
    frames = await stream(key)
    has_two = asyncio.Event()

    async def read() -> None:
        async for frame in frames:
            if b"two" in frame:
                has_two.set()

    reading = asyncio.create_task(read())
    await has_two.wait()
    assert (await sync_to_async(StoredResponse.objects.get)()).state == ResponseState.IN_PROGRESS
    reading.cancel()
    await asyncio.wait({reading})

    row = await sync_to_async(StoredResponse.objects.get)()
    assert (row.state, row.output[0]["content"][0]["text"], row.output[0]["status"]) == (
        "cancelled",
        "one two ",
        "incomplete",
    )
    assert (await sync_to_async(ledger_of)(alice))[0][0] == "stopped"
    await closed()


async def test_a_worker_that_fails_in_mid_stream_ends_it_with_a_failed_response(
    key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    worker.play("one ", Fail())
    events = events_in(b"".join([frame async for frame in await stream(key)]))
    assert [event["type"].removeprefix("response.") for event in events][-4:] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "failed",
    ]
    response = events[-1]["response"]
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert "the engine broke" in response["error"]["message"]
    row = await sync_to_async(StoredResponse.objects.get)()
    assert (row.state, row.output[0]["content"][0]["text"]) == ("failed", "one ")
    await closed()


def test_a_worker_that_fails_in_mid_answer_is_told_by_the_status(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    worker.play("one ", Fail())
    reply = create(client, key)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "worker_failed")
    assert StoredResponse.objects.count() == 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_is_refused_before_anything_came_leaves_nothing(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker, is_stream: bool
) -> None:
    worker.scripts.append(Refuse(400, WorkerErrorCode.INVALID_REQUEST, "no such thing"))
    assert create(client, key, stream=is_stream).status_code == 400
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.REQUESTS, period=Period.DAY, amount=0)
    assert create(client, key, stream=is_stream).status_code == 429
    assert StoredResponse.objects.count() == 0


def test_a_streamed_response_whose_process_died_has_failed_in_the_end(client: Client, key: NewKey) -> None:
    response = kept(key, state=ResponseState.IN_PROGRESS)
    responses.response_begin(response, runner=uuid4())
    assert responses.responses_lose() == 0
    StoredResponse.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert responses.responses_lose() == 1
    told = client.get(address(response), headers=headers_of(key)).json()
    assert (told["status"], told["error"]["code"]) == ("failed", "server_error")


async def test_a_stream_that_waited_in_vain_ends_with_a_failed_response(
    key: NewKey, worker: FakeWorker, pool: Worker, settings: Settings
) -> None:
    settings.QUEUE_WAIT_S = 2
    await sync_to_async(Worker.objects.update)(slots=1)
    gate = Gate()
    worker.play("one ", gate, "two")
    first = await stream(key)
    reading = asyncio.create_task(read_all(first))
    await gate.was_reached()
    waiting = await read_all(await stream(key))
    assert b": queued place=1" in waiting
    assert [event["type"] for event in events_in(waiting)] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]
    assert events_in(waiting)[-1]["response"]["error"]["code"] == "server_error"
    gate.open()
    assert events_in(await reading)[-1]["type"] == "response.completed"
    states = await sync_to_async(lambda: list(StoredResponse.objects.values_list("state", flat=True)))()
    assert sorted(states) == ["completed", "failed"]
    await closed()


async def test_a_stream_whose_end_cannot_be_kept_at_first_is_kept_a_little_later(
    key: NewKey, worker: FakeWorker, pool: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[bool] = []
    write = responses.response_end

    def away_at_first(*given: Any) -> None:
        tries.append(True)
        if len(tries) == 1:
            raise OperationalError("the connection is closed")
        write(*given)

    monkeypatch.setattr(responses, "response_end", away_at_first)
    events = events_in(await read_all(await stream(key)))
    assert events[-1]["type"] == "response.completed"
    assert (await sync_to_async(StoredResponse.objects.get)()).state == ResponseState.COMPLETED
    assert len(tries) == 2
    await closed()


async def test_who_leaves_while_the_end_cannot_be_kept_loses_nothing_of_it(
    key: NewKey, worker: FakeWorker, pool: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_tried, write = threading.Event(), responses.response_end

    def away_at_first(*given: Any) -> None:
        if not was_tried.is_set():
            was_tried.set()
            raise OperationalError("the connection is closed")
        write(*given)

    monkeypatch.setattr(responses, "response_end", away_at_first)
    script = worker.play("one ", "two")
    reading = asyncio.create_task(read_all(await stream(key)))
    assert await asyncio.to_thread(was_tried.wait, 10)
    reading.cancel()
    await asyncio.wait({reading})
    await asyncio.gather(*streaming._leaving)
    row = await sync_to_async(StoredResponse.objects.get)()
    assert (row.state, row.output[0]["content"][0]["text"]) == ("completed", script.text)
    await closed()


def test_one_that_was_kept_already_may_be_kept_again(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, tries = responses.response_keep, []

    def unheard_at_first(*given: Any) -> None:
        tries.append(True)
        keep(*given)
        if len(tries) == 1:
            raise OperationalError("the connection was lost before the answer to COMMIT came")

    monkeypatch.setattr(responses, "response_keep", unheard_at_first)
    reply = create(client, key)
    assert (reply.status_code, reply.json()["status"], len(tries)) == (200, "completed", 2)
    assert StoredResponse.objects.count() == 1


async def test_who_could_not_renew_in_time_still_writes_the_true_end(
    key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    gate = Gate()
    worker.play("one ", gate, "two")
    reading = asyncio.create_task(read_all(await stream(key)))
    await gate.was_reached()
    past = timezone.now() - timedelta(seconds=1)
    await sync_to_async(StoredResponse.objects.update)(lease_expires_at=past)
    assert await sync_to_async(responses.responses_lose)() == 1
    gate.open()
    assert events_in(await reading)[-1]["type"] == "response.completed"
    row = await sync_to_async(StoredResponse.objects.get)()
    assert (row.state, row.error) == ("completed", None)
    await closed()


# --- In the background ------------------------------------------------------------------------------------------------


def test_a_background_response_is_answered_by_one_run(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    texts = ["one", "two", "three"]
    for text in texts:
        worker.play(text)
        assert create(client, key, background=True).json()["status"] == "queued"
    assert responses_run() == 3
    rows = list(StoredResponse.objects.order_by("pk"))
    assert {row.state for row in rows} == {"completed"}
    assert sorted(row.output[0]["content"][0]["text"] for row in rows) == sorted(texts)
    assert {row.usage["input_tokens"] for row in rows if row.usage} == {7}
    assert {row.runner for row in rows} == {None}
    assert (Reservation.objects.count(), LedgerEntry.objects.filter(state="complete").count()) == (0, 3)
    assert responses_run() == 0


async def test_the_next_runner_goes_on_with_what_a_dead_one_was_reading(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    gate = Gate()
    script = worker.play("one ", "two ", gate, "three")
    await sync_to_async(create)(client, key, background=True)
    dead = asyncio.create_task(_Runner().run())
    await gate.was_reached()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if task is dead or "answer Response" in task.get_name() or "_read" in repr(task.get_coro()):
            task.cancel()
    await asyncio.wait({dead})
    assert await sync_to_async(responses_run)() == 0  # the dead one's lease holds yet

    await sync_to_async(StoredResponse.objects.update)(lease_expires_at=timezone.now() - timedelta(seconds=1))
    gate.open()
    assert await sync_to_async(responses_run)() == 1
    row = await sync_to_async(StoredResponse.objects.get)()
    assert (row.state, row.output[0]["content"][0]["text"]) == ("completed", script.text)
    assert len(worker.requests) == 1
    entries = await sync_to_async(lambda: list(LedgerEntry.objects.values_list("state", "completion_tokens")))()
    assert entries == [("complete", 3)]
    await closed()


async def test_a_runner_that_was_taken_for_dead_leaves_the_answer_to_the_next(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    gate = Gate()
    script = worker.play("one ", "two ", gate, "three")
    await sync_to_async(create)(client, key, background=True)
    slow = asyncio.create_task(_Runner().run())
    await gate.was_reached()
    past = timezone.now() - timedelta(seconds=1)
    await sync_to_async(StoredResponse.objects.update)(runner=uuid4(), lease_expires_at=past + timedelta(hours=1))
    assert await slow == 1
    assert not (await sync_to_async(StoredResponse.objects.get)()).is_ended

    await sync_to_async(StoredResponse.objects.update)(lease_expires_at=past)
    gate.open()
    assert await sync_to_async(responses_run)() == 1
    row = await sync_to_async(StoredResponse.objects.get)()
    assert (row.state, row.output[0]["content"][0]["text"]) == ("completed", script.text)
    entries = await sync_to_async(lambda: list(LedgerEntry.objects.values_list("state", "completion_tokens")))()
    assert entries == [("complete", 3)]
    await closed()


def test_while_no_worker_is_there_a_background_response_waits(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    Worker.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    create(client, key, background=True)
    assert responses_run() == 1
    row = StoredResponse.objects.get()
    assert (row.is_ended, row.n_turns, responses_run()) == (False, 0, 0)

    Worker.objects.update(lease_expires_at=timezone.now() + timedelta(hours=1))
    StoredResponse.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert responses_run() == 1
    assert StoredResponse.objects.get().state == ResponseState.COMPLETED


def test_a_background_response_whose_database_breaks_off_is_tried_again(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assign = responses.response_assign

    def away_at_first(*given: Any) -> bool:
        monkeypatch.setattr(responses, "response_assign", assign)
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(responses, "response_assign", away_at_first)
    create(client, key, background=True)
    assert responses_run() == 1
    assert not StoredResponse.objects.get().is_ended

    StoredResponse.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert responses_run() == 1
    assert StoredResponse.objects.get().state == ResponseState.COMPLETED


def test_a_background_response_that_nobody_answered_for_an_hour_has_failed(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    Worker.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    create(client, key, background=True)
    StoredResponse.objects.update(created_at=timezone.now() - timedelta(hours=2))
    responses_run()
    row = StoredResponse.objects.get()
    assert (row.state, row.error and row.error["code"]) == ("failed", "server_error")


def test_a_limit_fails_a_background_response(client: Client, key: NewKey, worker: FakeWorker, pool: Worker) -> None:
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.REQUESTS, period=Period.DAY, amount=0)
    create(client, key, background=True)
    responses_run()
    row = StoredResponse.objects.get()
    assert (row.state, row.error and row.error["code"]) == ("failed", "rate_limit_exceeded")


def test_one_that_kills_its_runners_is_given_up(client: Client, key: NewKey, worker: FakeWorker, pool: Worker) -> None:
    create(client, key, background=True)
    StoredResponse.objects.update(
        n_turns=responses.MAX_TURNS, lease_expires_at=timezone.now() - timedelta(seconds=1), state="in_progress"
    )
    assert responses_run() == 0
    assert StoredResponse.objects.get().state == ResponseState.FAILED
    assert worker.requests == []


def test_one_that_is_cancelled_before_anybody_began_is_not_asked_for(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    response = create(client, key, background=True).json()
    reply = client.post(f"/v1/responses/{response['id']}/cancel", headers=headers_of(key))
    assert reply.json()["status"] == "cancelled"
    assert responses_run() == 0
    assert worker.requests == []


@pytest.mark.parametrize("verb", ["cancel", "delete"])
async def test_one_that_is_stopped_in_mid_answer_is_stopped_at_the_worker_and_settled(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker, verb: str
) -> None:
    gate = Gate()
    worker.play("one ", "two ", gate, "three")
    response = (await sync_to_async(create)(client, key, background=True)).json()
    running = asyncio.create_task(_Runner().run())
    await gate.was_reached()
    path = f"/v1/responses/{response['id']}"
    if verb == "cancel":
        reply: Any = await AsyncClient().post(f"{path}/cancel", headers=headers_of(key))
        assert reply.json()["status"] == "cancelled"
    else:
        reply = await AsyncClient().delete(path, headers=headers_of(key))
        assert reply.json() == {"id": response["id"], "object": "response", "deleted": True}
    await asyncio.wait_for(running, 20)

    assert len(set(worker.cancelled)) == 1
    entries = await sync_to_async(lambda: list(LedgerEntry.objects.values_list("state", "completion_tokens")))()
    assert entries == [("stopped", 2)]
    assert await sync_to_async(Reservation.objects.count)() == 0
    rows: Any = await sync_to_async(lambda: list(StoredResponse.objects.all()))()
    if verb == "delete":
        assert rows == []
    else:
        assert (rows[0].state, rows[0].output[0]["content"][0]["text"]) == ("cancelled", "one two ")
        assert rows[0].usage["output_tokens"] == 2
    await closed()


async def test_who_watches_hears_the_end_of_one_that_is_deleted(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    frames = await stream(key, background=True)
    first = events_in(await anext(frames))
    assert [event["type"] for event in first] == ["response.created", "response.queued", "response.in_progress"]
    await sync_to_async(StoredResponse.objects.all().delete)()
    last = events_in(b"".join([frame async for frame in frames]))[-1]
    assert (last["type"], last["response"]["error"]["message"]) == ("response.failed", "The response was deleted.")
    await closed()


def test_a_stream_that_ended_too_long_ago_is_refused(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    response = create(client, key, background=True).json()
    responses_run()
    worker.forget()
    reply = client.get(f"/v1/responses/{response['id']}?stream=true", headers=headers_of(key))
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "stream")
    assert "ended too long ago" in reply.json()["error"]["message"]


# --- Whose it is, and bounds ------------------------------------------------------------------------------------------


def kept(key: NewKey, **fields: Any) -> StoredResponse:
    """A response that is not in the database yet."""
    defaults: dict[str, Any] = {
        "user_id": key.key.user_id,
        "api_key_id": key.key.pk,
        "model_name": "tiny",
        "repeated": {"instructions": None},
        "items": [message("user", "input_text", "Hi")],
        "output": [message("assistant", "output_text", "Hello")],
        "state": ResponseState.COMPLETED,
        "expires_at": timezone.now() + timedelta(days=30),
    }
    return StoredResponse(**defaults | fields)


def message(role: str, kind: str, text: str) -> dict[str, Any]:
    return {"id": f"msg_{uuid4().hex}", "type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def address(response: StoredResponse) -> str:
    return f"/v1/responses/resp_{response.public_id.hex}"


@pytest.mark.parametrize(
    ("verb", "path"),
    [("get", ""), ("get", "?stream=true"), ("get", "/input_items"), ("post", "/cancel"), ("delete", "")],
)
def test_charlie_finds_nothing_of_alices_and_her_other_key_does(
    client: Client, alice: User, charlie: User, key: NewKey, verb: str, path: str
) -> None:
    response = kept(key)
    response.save()
    for stranger in (api_key_create(name="c", user=charlie), api_key_create(name="site", user=None)):
        reply = getattr(client, verb)(address(response) + path, headers=headers_of(stranger))
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
        continued = create(client, stranger, previous_response_id=f"resp_{response.public_id.hex}")
        assert continued.status_code == 404
    assert StoredResponse.objects.filter(pk=response.pk).exists()
    hers = api_key_create(name="her other one", user=alice)
    assert getattr(client, verb)(address(response) + path, headers=headers_of(hers)).status_code in (200, 400)


def test_a_key_for_chats_opens_no_responses_and_one_for_responses_no_chats(
    client: Client, alice: User, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    response = kept(key)
    response.save()
    chats = api_key_create(name="chats", user=alice, scope=KeyScope(endpoints=[Endpoint.CHAT]))
    theirs = api_key_create(name="responses", user=alice, scope=KeyScope(endpoints=[Endpoint.RESPONSES]))
    doors = [("get", ""), ("delete", ""), ("get", "/input_items"), ("post", "/cancel")]
    replies = [getattr(client, verb)(address(response) + path, headers=headers_of(chats)) for verb, path in doors]
    replies += [create(client, chats), create(client, chats, background=True)]
    told = {(reply.status_code, reply.json()["error"]["code"]) for reply in replies}
    assert told == {(403, "endpoint_not_allowed")}

    assert create(client, theirs).status_code == 200
    chat = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
    refused = client.post("/v1/chat/completions", chat, content_type="application/json", headers=headers_of(theirs))
    assert refused.status_code == 403


def test_an_owner_has_so_many_unended_ones(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MAX_UNENDED", 2)
    replies = [create(client, key, background=True) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].json()["error"]["code"] == "too_many_responses"
    assert int(replies[2]["Retry-After"]) > 0


def test_a_conversation_has_an_end(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MAX_ANCESTORS", 2)
    ids: list[str] = []
    for _ in range(3):
        ids.append(create(client, key, previous_response_id=ids[-1] if ids else None).json()["id"])
    assert [len(request["messages"]) for request in worker.requests] == [1, 3, 5]
    reply = create(client, key, previous_response_id=ids[-1])
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "previous_response_id")

    monkeypatch.setattr(selectors, "MAX_CONTEXT_BYTES", 100)
    reply = create(client, key, previous_response_id=ids[0])
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "previous_response_id")


def test_one_that_has_not_ended_is_not_continued(client: Client, key: NewKey, worker: FakeWorker, pool: Worker) -> None:
    first = create(client, key, background=True).json()
    reply = create(client, key, previous_response_id=first["id"])
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "previous_response_id")
    assert "has not ended" in reply.json()["error"]["message"]


def test_responses_are_forgotten_together_some_time_after_the_last_one(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    first, alone = create(client, key).json(), create(client, key).json()
    StoredResponse.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    second = create(client, key, previous_response_id=first["id"]).json()
    StoredResponse.objects.update(expires_at=F("expires_at") - timedelta(hours=2))
    assert retention_run() == {Kept.RESPONSES: 1}
    left = {f"resp_{public_id.hex}" for public_id in StoredResponse.objects.values_list("public_id", flat=True)}
    assert left == {first["id"], second["id"]}
    assert alone["id"] not in left


def test_characters_that_cannot_be_kept_are_dropped(
    client: Client, key: NewKey, worker: FakeWorker, pool: Worker
) -> None:
    worker.play("Hel\0lo")
    reply = create(client, key, input="Hi\0 there", instructions="\0Be brief")
    assert reply.json()["output"][0]["content"][0]["text"] == "Hello"
    assert worker.requests[0]["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hi there"},
    ]
    assert StoredResponse.objects.get().items[0]["content"][0]["text"] == "Hi there"


def test_bodies_that_are_nested_too_deep_are_refused(client: Client, key: NewKey, pool: Worker) -> None:
    deep: Any = {}
    for _ in range(600):
        deep = {"a": deep}
    tool = {"type": "function", "name": "f", "parameters": deep}
    for changes in ({"tools": [tool]}, {"tools": [tool], "background": True}):
        reply = create(client, key, **changes)
        assert reply.status_code == 400, reply.json()


JUNK: list[Any] = [
    None,
    [],
    "x",
    {"input": {"a": 1}},
    {"input": [1]},
    {"input": [{"type": 5}]},
    {"input": [{"role": "user", "content": [None]}]},
    {"input": [{"role": "user", "content": [{"type": ["input_text"]}]}]},
    {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": 5}]}]},
    {
        "input": [
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "x"}]}
        ]
    },
    {"input": [{"role": "user", "content": "x"}] * 10_001},
    {"tools": "x"},
    {"tools": [1]},
    {"tool_choice": 5},
    {"text": "x"},
    {"text": {"format": 5}},
    {"include": "x"},
    {"include": [["x"]]},
    {"reasoning": "x"},
    {"stream_options": 5},
    {"stream": "yes"},
    {"background": 1},
    {"metadata": "x"},
    {"metadata": {"a": "\0"}},
    {"model": 5},
    {"model": "\0"},
    {"user": 5},
    {"previous_response_id": ""},
]


@pytest.mark.parametrize("junk", JUNK)
def test_nonsense_is_refused_and_never_our_fault(client: Client, key: NewKey, pool: Worker, junk: Any) -> None:
    body = ASK | junk if isinstance(junk, dict) else junk
    for more in ({}, {"background": True}):
        sent = body | more if isinstance(junk, dict) and "background" not in junk else body
        reply = client.post("/v1/responses", json.dumps(sent), content_type="application/json", headers=headers_of(key))
        assert reply.status_code in (400, 404), reply.content
        assert reply.json()["error"]["message"]
    assert StoredResponse.objects.count() == 0


@pytest.mark.parametrize(
    "query",
    ["stream=maybe", "stream=true&starting_after=x", "starting_after=-1", "include[]=x", "include_obfuscation=true"],
)
def test_parameters_of_an_address_are_checked(client: Client, key: NewKey, query: str) -> None:
    response = kept(key)
    response.save()
    assert client.get(f"{address(response)}?{query}", headers=headers_of(key)).status_code == 400
    for items in ("limit=0", "limit=x", "order=up"):
        assert client.get(f"{address(response)}/input_items?{items}", headers=headers_of(key)).status_code == 400
