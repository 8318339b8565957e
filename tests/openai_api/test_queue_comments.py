"""A stream that waits in the queue says where it stands, in comments that the SDK skips."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import openai
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import F
from django.test import AsyncClient

from apps.accounts.services import api_key_create
from apps.core.outbound import http_client
from apps.core.threads import in_thread
from apps.openai_api import opening
from apps.workers.models import PoolRequest, RequestState, Worker
from gpu_worker.protocol import WorkerErrorCode
from tests.fake_worker import FakeWorker, Gate, Refuse, enrol, fake_worker
from tests.live import LiveSite
from tests.web.support import ScriptedWorker

WAIT_S = 20
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


@pytest.fixture
def worker(transactional_db: None) -> Iterator[FakeWorker]:
    """One worker with room for one request."""
    with fake_worker() as fake:
        enrol(fake, "tiny")
        Worker.objects.update(slots=1)
        yield fake


@pytest_asyncio.fixture
async def key(worker: FakeWorker) -> AsyncIterator[str]:
    new = await in_thread(api_key_create, name="test", user=None)
    yield new.secret
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


async def post(key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    return await AsyncClient().post("/v1/chat/completions", BODY, content_type="application/json", headers=headers)


async def lines(reply: Any) -> AsyncIterator[str]:
    async for piece in reply.streaming_content:
        yield piece.decode().strip()


async def joined(key: str) -> str:
    return "\n".join([line async for line in lines(await post(key))])


async def until_waiting(n: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while await PoolRequest.objects.filter(state=RequestState.WAITING).acount() != n:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def occupy(worker: FakeWorker, key: str) -> tuple[Gate, "asyncio.Task[str]"]:
    gate = Gate()
    worker.play("first", gate)
    running = asyncio.create_task(joined(key))
    await gate.was_reached()
    return gate, running


async def test_a_waiting_stream_tells_its_place_a_heartbeat_and_then_its_answer(
    worker: FakeWorker, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "STATUS_KEPT_S", 0.05)
    monkeypatch.setattr(opening, "HEARTBEAT_S", 0.5)
    await joined(key)  # one answer, so that the time is known
    await PoolRequest.objects.aupdate(ended_at=F("admitted_at") + timedelta(seconds=10))
    gate, running = await occupy(worker, key)
    second = Gate()
    worker.play("second", second)
    ahead = asyncio.create_task(joined(key))
    await until_waiting(1)
    reply = await post(key)
    assert (reply.status_code, reply["Content-Type"]) == (200, "text/event-stream")

    seen: list[str] = []
    async with aclosing(lines(reply)) as told:  # type: ignore[type-var]
        async for line in told:
            seen.append(line)
            if line == ": heartbeat":
                gate.open()
            if line.startswith(": queued place=1 eta="):
                second.open()
    assert seen[0] == ": queued place=2 eta=20s"
    events = [json.loads(line[6:]) for line in seen if line.startswith("data: {")]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == "Hello there."
    assert seen[-1] == "data: [DONE]"
    await asyncio.gather(running, ahead)


async def test_one_who_leaves_while_it_waits_leaves_the_queue(
    worker: FakeWorker, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "STATUS_KEPT_S", 0.05)
    gate, running = await occupy(worker, key)
    reply = await post(key)
    told = asyncio.Event()

    async def read() -> None:
        async for line in lines(reply):
            assert line == ": queued place=1"
            told.set()

    reader = asyncio.create_task(read())
    async with asyncio.timeout(WAIT_S):
        await told.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await until_waiting(0)
    assert await PoolRequest.objects.filter(outcome="left").acount() == 1
    gate.open()
    await running
    assert len(worker.requests) == 1


async def test_what_fails_after_the_queue_was_told_is_an_event(
    worker: FakeWorker, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "STATUS_KEPT_S", 0.05)
    gate, running = await occupy(worker, key)
    worker.scripts.append(Refuse(400, WorkerErrorCode.INVALID_REQUEST, "no"))
    reply = await post(key)
    gate.open()
    *_, last = [line async for line in lines(reply)]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "invalid_request"
    await running


async def test_what_fails_soon_keeps_its_status(worker: FakeWorker, key: str, settings: Any) -> None:
    settings.QUEUE_WAIT_S = 0.1
    gate, running = await occupy(worker, key)
    reply = await post(key)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "waited_too_long")
    gate.open()
    await running


@pytest.mark.processes
def test_the_sdk_reads_past_the_comments(api_site: LiveSite, sdk: openai.OpenAI) -> None:
    with fake_worker() as fake:
        scripted = ScriptedWorker(api_site, fake, "crowded")
        scripted.report()
        api_site.query("UPDATE workers_worker SET slots = 1 WHERE public_id = %s RETURNING id", scripted.worker_id)
        gate = Gate()
        fake.play("first", gate)
        ask: Any = {"model": "crowded", "messages": BODY["messages"], "stream": True}
        running = sdk.chat.completions.create(**ask)
        next(iter(running))
        behind = sdk.chat.completions.create(**ask)  # returns when the first comment is there
        assert behind.response.headers["content-type"] == "text/event-stream"
        gate.open()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in behind if chunk.choices) == "Hello there."
        running.close()
        api_site.query("UPDATE catalog_languagemodel SET visibility = 'hidden' WHERE name = 'crowded' RETURNING id")
