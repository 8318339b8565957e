"""Many requests on several workers: how they are shared, and what a worker's faults lead to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.core.errors import SiteError
from apps.core.outbound import http_client
from apps.workers import relay
from apps.workers.breaker import RULES, Fault
from apps.workers.call import Call
from apps.workers.errors import WorkerUnreachable
from apps.workers.models import Worker
from apps.workers.services import administration
from gpu_worker.protocol import WorkerErrorCode
from tests.fake_worker import FakeWorker, Gate, HangUp, Refuse, Script, enrol, fake_worker

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
CALL = Call(Actor(), "tiny", BODY)


@pytest.fixture
def workers(transactional_db: None) -> Iterator[list[FakeWorker]]:
    """Three workers with the same model."""
    with ExitStack() as stack:
        fakes = [stack.enter_context(fake_worker()) for _ in range(3)]
        for fake in fakes:
            enrol(fake, "tiny")
        yield fakes


@pytest_asyncio.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    yield
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


async def answer(call: Call = CALL) -> str:
    async with aclosing(relay.generate(call)) as events:
        return "".join([event.text async for event in events])


async def ask(n: int, *, at_once: int) -> None:
    """`n` requests, never more than `at_once` of them running."""
    room = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with room:
            await answer()

    await asyncio.gather(*(one() for _ in range(n)))


def asked(workers: list[FakeWorker]) -> list[int]:
    return [len(worker.requests) for worker in workers]


async def row(fake: FakeWorker) -> Worker:
    return await Worker.objects.aget(base_url=fake.base_url)


@pytest.mark.parametrize("at_once", [1, 12])
async def test_200_requests_are_shared_evenly_within_a_tenth(workers: list[FakeWorker], at_once: int) -> None:
    await ask(200, at_once=at_once)
    assert all(abs(n - 200 / 3) <= 0.1 * 200 / 3 for n in asked(workers)), asked(workers)
    assert [(await row(worker)).queue for worker in workers] == [0, 0, 0]


async def test_a_weight_set_in_the_admin_holds_from_the_next_request_on(
    workers: list[FakeWorker], client: Client
) -> None:
    admin = await sync_to_async(User.objects.create_superuser)("root", "root@example.org", "x")
    await sync_to_async(client.force_login)(admin)
    first, second, third = [await row(worker) for worker in workers]
    await sync_to_async(administration.worker_drain)(third, is_drained=True)
    inline = {f"hosted-{key}_FORMS": "0" for key in ("TOTAL", "INITIAL")}
    url = f"/admin/workers/worker/{first.pk}/change/"

    refused = await sync_to_async(client.post)(url, inline | {"weight": "0"})
    reply = await sync_to_async(client.post)(url, inline | {"weight": "3"})

    assert (refused.status_code, reply.status_code) == (200, 302)
    assert b"To give it none, drain it" in refused.content
    await ask(80, at_once=1)
    assert asked(workers) == [60, 20, 0]
    assert (await Worker.objects.aget(pk=second.pk)).weight == 1.0


async def test_turns_of_one_conversation_meet_the_worker_that_knows_its_beginning(
    workers: list[FakeWorker], settings: Any
) -> None:
    settings.DISPATCH_METHOD = "prefix_affinity"
    for turn in range(6):
        later = [{"role": "assistant", "content": "Hello there."}, {"role": "user", "content": f"{turn}"}] * turn
        await answer(Call(Actor(), "tiny", {"messages": [*BODY["messages"], *later]}))
    assert sorted(asked(workers)) == [0, 0, 6]


async def test_a_worker_cools_down_when_it_fails_often_and_comes_back_with_an_answer(
    workers: list[FakeWorker],
) -> None:
    bad = workers[0]
    bad.scripts.extend([Refuse(500, WorkerErrorCode.INTERNAL, "no paper")] * RULES[Fault.INTERNAL].min_faults)
    while bad.scripts:
        assert (await row(bad)).cooling_until is None
        assert await answer() == "Hello there."
    state = await row(bad)
    assert (state.cooling_until is not None, state.last_error) == (True, "no paper")

    n_before = len(bad.requests)
    await ask(9, at_once=3)
    assert len(bad.requests) == n_before

    for good in workers[1:]:
        good.kill()
    assert await answer() == "Hello there."  # all cool down now, and this one has not even been restarted
    assert (await row(bad)).cooling_until is None


@pytest.mark.parametrize(
    "refusal",
    [
        Refuse(400, WorkerErrorCode.INVALID_REQUEST),
        Refuse(401, WorkerErrorCode.UNAUTHORISED),
        Refuse(404, WorkerErrorCode.MODEL_NOT_FOUND),
        Refuse(413, WorkerErrorCode.REQUEST_TOO_LARGE),
        Refuse(429, WorkerErrorCode.OVERLOADED),
        Refuse(503, WorkerErrorCode.SHUTTING_DOWN),
    ],
    ids=lambda refusal: f"{refusal.status}-{refusal.code}",
)
async def test_no_refusal_is_ever_held_against_a_worker(workers: list[FakeWorker], refusal: Refuse) -> None:
    for worker in workers:
        worker.scripts.extend([refusal] * 8)
    for _ in range(8):
        with pytest.raises(SiteError):
            await answer()
    states = [await row(worker) for worker in workers]
    assert [(w.cooling_until, w.recent_faults, w.last_error) for w in states] == [(None, {}, "")] * 3


async def test_a_worker_that_is_not_what_it_was_is_passed_over(workers: list[FakeWorker]) -> None:
    workers[0].scripts.extend([Refuse(401, WorkerErrorCode.UNAUTHORISED)] * 9)
    workers[1].scripts.extend([Refuse(404, WorkerErrorCode.MODEL_NOT_FOUND)] * 9)
    for _ in range(3):
        assert await answer() == "Hello there."


async def test_a_caller_that_leaves_is_held_against_nobody(workers: list[FakeWorker]) -> None:
    for worker in workers:
        worker.scripts.extend([Script(["one", Gate()])] * 4)
    for _ in range(12):
        async with aclosing(relay.generate(CALL)) as events:
            async for event in events:
                if event.text:
                    break
    states = [await row(worker) for worker in workers]
    assert [(w.queue, w.cooling_until, w.recent_faults) for w in states] == [(0, None, {})] * 3


async def test_a_caller_whose_own_time_limit_strikes_is_held_against_nobody(workers: list[FakeWorker]) -> None:
    for worker in workers:
        worker.scripts.extend([Script([Gate()])] * 4)
    for _ in range(6):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await answer()
    states = [await row(worker) for worker in workers]
    assert [(w.queue, w.cooling_until, w.recent_faults) for w in states] == [(0, None, {})] * 3


async def test_the_error_names_every_attempt_and_its_cause(workers: list[FakeWorker]) -> None:
    workers[0].kill()
    workers[1].scripts.append(Refuse(500, WorkerErrorCode.INTERNAL, "no paper"))
    workers[2].scripts.append(Refuse(401, WorkerErrorCode.UNAUTHORISED, "wrong token"))
    with pytest.raises(WorkerUnreachable) as failure:
        await answer()
    ids = [(await row(worker)).pk for worker in workers]
    for pk, cause in zip(ids, ["connection refused", "no paper", "wrong token"], strict=True):
        assert f"worker {pk}: {cause}" in failure.value.message


async def test_a_connection_that_breaks_before_the_first_event_is_tried_elsewhere(workers: list[FakeWorker]) -> None:
    for worker in workers[:2]:
        worker.scripts.extend([HangUp()] * 9)
    for _ in range(3):
        assert await answer() == "Hello there."
