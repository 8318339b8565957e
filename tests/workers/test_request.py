"""The books of one request: what is counted, what is kept of its failures, and how long it waits between tries."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections

from apps.accounts.actors import Actor
from apps.core.outbound import http_client
from apps.workers import client, relay, request
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import WorkerInternal, WorkerUnreachable
from apps.workers.models import PoolRequest, Worker
from apps.workers.request import Request
from apps.workers.services import admission, assignments
from apps.workers.services.admission import Entered
from apps.workers.target import Target
from apps.workers.transport import TransportFailed
from tests.fake_worker import Fail, FakeWorker, Script, enrol, fake_worker

WAIT_S = 20
CALL = Call(Actor(user_id=1), "tiny", {"messages": [{"role": "user", "content": "Hi"}]})


@pytest.fixture
def worker(transactional_db: None) -> Iterator[FakeWorker]:
    with fake_worker() as fake:
        enrol(fake, "tiny")
        yield fake


@pytest_asyncio.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    yield
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


async def answer() -> str:
    async with aclosing(relay.generate(CALL)) as events:
        return "".join([event.text async for event in events])


async def test_one_who_leaves_before_the_turn_is_noticed_counts_no_more(worker: FakeWorker) -> None:
    async with Request(CALL):
        assert (await Worker.objects.aget()).queue == 1
    assert (await Worker.objects.aget()).queue == 0


async def test_one_who_is_cancelled_twice_while_entering_leaves_no_trace(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    entering, may_enter = threading.Event(), threading.Event()
    enter = admission.request_enter

    def slow(*args: Any, **kwargs: Any) -> Entered:
        entering.set()
        assert may_enter.wait(WAIT_S)
        return enter(*args, **kwargs)

    monkeypatch.setattr(admission, "request_enter", slow)
    task = asyncio.create_task(answer())
    assert await asyncio.to_thread(entering.wait, WAIT_S)
    task.cancel()
    await asyncio.sleep(0)  # so that the second one finds it waiting for the thread
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_enter.set()
    async with asyncio.timeout(WAIT_S):
        while not await PoolRequest.objects.filter(state="ended", outcome="left").aexists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await Worker.objects.aget()).queue == 0


async def test_what_a_worker_says_is_kept_even_if_it_is_no_text(worker: FakeWorker) -> None:
    worker.scripts.append(Script([Fail(message="no\0 paper \ud800")]))
    with pytest.raises(WorkerInternal, match="no paper \N{REPLACEMENT CHARACTER}"):
        await answer()
    state, [entry] = await Worker.objects.aget(), [r async for r in PoolRequest.objects.all()]
    assert (state.last_error, state.queue) == ("no paper \N{REPLACEMENT CHARACTER}", 0)
    assert (entry.state, entry.attempts[0]["cause"]) == ("ended", state.last_error)


async def test_a_request_whose_end_cannot_be_written_down_is_not_kept_alive(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(assignments, "request_end", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        await answer()
    async with asyncio.timeout(WAIT_S):
        keepers = [task for task in asyncio.all_tasks() if task.get_name() == "queue"]
        await asyncio.gather(*keepers)


async def test_the_pauses_between_rounds_of_tries_grow(
    worker: FakeWorker, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "RETRY_DELAYS_S", (0.01, 0.3))
    settings.WORKER_PATIENCE_S = 2.0
    worker.kill()
    with pytest.raises(WorkerUnreachable):
        await answer()
    [entry] = [r async for r in PoolRequest.objects.all()]
    _first, second, third = (datetime.fromisoformat(attempt["at"]) for attempt in entry.attempts[:3])
    assert (third - second).total_seconds() >= 0.3


@pytest.mark.parametrize(
    ("base_url", "words", "is_refused"),
    [
        ("http://127.0.0.1:{closed}", "connection refused", True),
        ("https://127.0.0.1:{open}", "TLS: ", False),
        ("http://255.255.255.255:1", "cannot be reached: ", False),
    ],
)
async def test_only_a_refused_connection_says_that_nobody_is_there(
    settings: Any, base_url: str, words: str, is_refused: bool
) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = [ip_network("255.255.255.255")]
    with fake_worker() as speaks_no_tls, fake_worker() as killed:
        killed.kill()
        target = Target(1, base_url.format(open=speaks_no_tls.port, closed=killed.port), "token")
        with pytest.raises(TransportFailed, match=words) as failure:
            await client.completion(target, WorkerPath.CHAT_COMPLETIONS, {})
    assert failure.value.is_refused is is_refused
