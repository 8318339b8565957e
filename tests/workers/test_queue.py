"""The queue in front of the workers: fair, bounded, told about, and right across processes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.core.outbound import http_client
from apps.core.threads import in_thread
from apps.privacy.models import Kept
from apps.privacy.services.retention import retention_run
from apps.workers import relay
from apps.workers.call import Call, WorkerPath
from apps.workers.errors import NoWorker, PartyQueueFull, QueueFull, WaitedTooLong, WorkerUnreachable
from apps.workers.fairness import Place
from apps.workers.models import RENEWED_WITHIN, PoolRequest, RequestState, Worker
from apps.workers.services import admission
from tests.fake_worker import FakeWorker, Gate, Script, enrol, fake_worker

HEAVY, LIGHT = Actor(user_id=1), Actor(user_id=2)
WAIT_S = 20


@pytest.fixture
def worker(transactional_db: None) -> Iterator[FakeWorker]:
    """One worker with room for one request."""
    with fake_worker() as fake:
        enrol(fake, "tiny")
        Worker.objects.update(slots=1)
        yield fake


@pytest_asyncio.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    yield
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


def call(actor: Actor = LIGHT, text: str = "Hi", places: list[Place] | None = None) -> Call:
    async def on_place(place: Place) -> None:
        if places is not None:
            places.append(place)

    return Call(actor, "tiny", {"messages": [{"role": "user", "content": text}]}, on_place=on_place)


async def answer(asked: Call) -> str:
    async with aclosing(relay.generate(asked)) as events:
        return "".join([event.text async for event in events])


async def until(condition: Any, what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not await condition():  # noqa: ASYNC110  # the database has no event to wait for
                await asyncio.sleep(0.01)
    except TimeoutError as exc:
        raise AssertionError(f"waited for {what}") from exc


def waiting(n: int) -> Any:
    async def are_waiting() -> bool:
        return await PoolRequest.objects.filter(state=RequestState.WAITING).acount() == n

    return are_waiting


@asynccontextmanager
async def occupied(worker: FakeWorker) -> AsyncIterator[Gate]:
    """Somebody's answer fills the one place until the gate is opened."""
    gate = Gate()
    worker.play("first", gate)
    running = asyncio.create_task(answer(call(HEAVY, "running")))
    await gate.was_reached()
    try:
        yield gate
    finally:
        gate.open()
        assert await running == "first"


async def test_what_has_no_place_waits_in_the_site_and_not_at_the_worker(worker: FakeWorker) -> None:
    async with occupied(worker) as gate:
        second = asyncio.create_task(answer(call()))
        await until(waiting(1), "the second request to wait")
        assert len(worker.requests) == 1
        gate.open()
        assert await second == "Hello there."
    assert {r.outcome async for r in PoolRequest.objects.all()} == {"answered"}
    assert [w.queue async for w in Worker.objects.all()] == [0]


async def test_a_heavy_user_delays_a_light_one_by_one_request_only(worker: FakeWorker) -> None:
    async with occupied(worker) as gate:
        tasks = [asyncio.create_task(answer(call(HEAVY, f"heavy {i}"))) for i in range(8)]
        await until(waiting(8), "the heavy user's requests to wait")
        tasks.append(asyncio.create_task(answer(call(LIGHT, "light"))))
        await until(waiting(9), "the light one to wait")
        gate.open()
        await asyncio.gather(*tasks)
    texts = [request["messages"][0]["content"] for request in worker.requests]
    assert texts[1] == "light", texts


async def test_one_who_waits_is_told_the_place_and_the_time(worker: FakeWorker) -> None:
    places: list[Place] = []
    async with occupied(worker) as gate:
        ahead = asyncio.create_task(answer(call(LIGHT)))
        await until(waiting(1), "the one ahead")
        behind = asyncio.create_task(answer(call(LIGHT, places=places)))

        async def is_told() -> bool:
            return bool(places)

        await until(is_told, "the place")
        assert places == [Place(2, None)]
        gate.open()
        await asyncio.gather(ahead, behind)

    places.clear()
    took = timedelta(seconds=10)
    async for request in PoolRequest.objects.all():
        request.ended_at = (request.admitted_at or timezone.now()) + took
        await request.asave()
    async with occupied(worker) as gate:
        behind = asyncio.create_task(answer(call(LIGHT, places=places)))
        await until(is_told, "the place and the time")
        assert places == [Place(1, 10.0)]
        gate.open()
        await behind


async def test_the_queue_is_bounded_by_role_and_in_all(worker: FakeWorker, settings: Any) -> None:
    settings.QUEUE_MAX_PER_VISITOR, settings.QUEUE_MAX_PER_USER, settings.QUEUE_MAX = 1, 2, 3
    visitor = Actor()
    async with occupied(worker) as gate:
        tasks = [asyncio.create_task(answer(call(actor))) for actor in (visitor, LIGHT, LIGHT)]
        await until(waiting(3), "three to wait")
        with pytest.raises(PartyQueueFull, match="1 requests waiting"):
            await answer(call(visitor))
        with pytest.raises(PartyQueueFull, match="2 requests waiting"):
            await answer(call(LIGHT))
        with pytest.raises(QueueFull, match="3 requests wait"):
            await answer(call(HEAVY))
        gate.open()
        assert await asyncio.gather(*tasks) == ["Hello there."] * 3


async def test_one_who_leaves_the_queue_leaves_no_trace_in_it(worker: FakeWorker) -> None:
    async with occupied(worker) as gate:
        task = asyncio.create_task(answer(call()))
        await until(waiting(1), "it to wait")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await PoolRequest.objects.filter(outcome="left", state="ended").acount() == 1
        gate.open()
    assert await answer(call()) == "Hello there."


async def test_nobody_waits_longer_than_the_limit(worker: FakeWorker, settings: Any) -> None:
    settings.QUEUE_WAIT_S = 0.2
    async with occupied(worker):
        with pytest.raises(WaitedTooLong, match="within 0 seconds"):
            await answer(call())
    assert await PoolRequest.objects.filter(outcome="workers.waited_too_long").acount() == 1


async def test_requests_of_a_process_that_died_are_not_waited_for(worker: FakeWorker) -> None:
    """Another process's rows: one runs, one waits ahead of us, and neither is renewed any more."""
    ghosts = [
        await in_thread(admission.request_enter, call(HEAVY), trace_id="ghost", generation_id=None) for _ in range(2)
    ]
    assert [ghost.target is None for ghost in ghosts] == [False, True]
    task = asyncio.create_task(answer(call()))
    await until(waiting(2), "ours to wait behind them")
    long_ago = timezone.now() - RENEWED_WITHIN
    await PoolRequest.objects.filter(trace_id="ghost").aupdate(renewed_at=long_ago)
    assert await task == "Hello there."


async def test_a_place_that_another_process_gives_us_is_noticed(worker: FakeWorker) -> None:
    async with occupied(worker) as gate:
        task = asyncio.create_task(answer(call()))
        await until(waiting(1), "it to wait")
        [ours] = [r async for r in PoolRequest.objects.filter(state=RequestState.WAITING)]
        await Worker.objects.aupdate(slots=2)
        await in_thread(admission.queue_look, ours.model_id, [])  # as another process looks
        assert await task == "Hello there."
        gate.open()


async def test_counting_tokens_does_not_wait_behind_answers(worker: FakeWorker) -> None:
    async with occupied(worker):
        told = await relay.complete(Call(LIGHT, "tiny", {"prompt": "x"}, WorkerPath.TOKENIZE))
    assert told["count"] > 0
    assert [w.queue async for w in Worker.objects.all()] == [0]


# --- Workers that go and come back ------------------------------------------------------------------------------------


async def test_no_accepted_request_is_lost_when_the_only_worker_restarts(worker: FakeWorker, settings: Any) -> None:
    settings.WORKER_PATIENCE_S = WAIT_S
    await Worker.objects.aupdate(slots=2)
    gate = Gate()
    worker.play("cut off", gate)
    running = asyncio.create_task(answer(call(HEAVY, "running")))
    await gate.was_reached()
    worker.scripts.extend(Script([f"answer {i}"]) for i in range(6))
    worker.kill()
    tasks = [asyncio.create_task(answer(call(LIGHT))) for _ in range(6)]

    async def has_failed() -> bool:
        return (await Worker.objects.aget()).last_error == "connection refused"

    await until(has_failed, "the site to find nobody there")
    worker.start()
    with pytest.raises(Exception, match="went away"):
        await running
    assert sorted(await asyncio.gather(*tasks)) == [f"answer {i}" for i in range(6)]
    assert (await Worker.objects.aget()).cooling_until is None


async def test_patience_ends_and_the_error_says_what_was_tried(worker: FakeWorker, settings: Any) -> None:
    settings.WORKER_PATIENCE_S = 0.6
    worker.kill()
    with pytest.raises(WorkerUnreachable, match="connection refused"):
        await answer(call())
    [request] = [r async for r in PoolRequest.objects.all()]
    assert request.outcome == "workers.unreachable"
    assert len(request.attempts) >= 2
    assert request.attempts[0]["cause"] == "connection refused"


async def test_waiting_requests_outlive_a_lease_and_newcomers_are_told_at_once(worker: FakeWorker) -> None:
    async with occupied(worker) as gate:
        task = asyncio.create_task(answer(call()))
        await until(waiting(1), "it to wait")
        await Worker.objects.aupdate(lease_expires_at=timezone.now())
        with pytest.raises(NoWorker):
            await answer(call())
        gate.open()
        await until(waiting(1), "it still to wait")
        await Worker.objects.aupdate(lease_expires_at=timezone.now() + timedelta(minutes=1))
        assert await task == "Hello there."


async def test_the_log_forgets_all_that_is_old(worker: FakeWorker) -> None:
    for _ in range(3):
        await answer(call())
    last = await PoolRequest.objects.alatest("pk")
    await PoolRequest.objects.exclude(pk=last.pk).aupdate(created_at=timezone.now() - timedelta(days=15))
    assert await in_thread(retention_run) == {Kept.REQUESTS: 2}
    assert [r.pk async for r in PoolRequest.objects.all()] == [last.pk]
