"""From a request to a worker's answer: fail-over, taking up a broken stream, and the pool's books."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections

from apps.accounts.actors import Actor
from apps.catalog.models import LanguageModel
from apps.core import outbound
from apps.core.errors import SiteError
from apps.core.outbound import http_client
from apps.openai_api.errors import api_error
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.errors import (
    GenerationGone,
    PromptTooLong,
    RequestTooLarge,
    WorkerDied,
    WorkerInternal,
    WorkerOverloaded,
    WorkerRefused,
    WorkerTimedOut,
    WorkerUnreachable,
)
from apps.workers.models import Worker
from apps.workers.target import Target
from gpu_worker.protocol import WorkerErrorCode
from tests.fake_worker import Cut, Fail, FakeWorker, Gate, Nonsense, Refuse, enrol, fake_worker

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
CALL = Call(Actor(), "tiny", BODY)


@pytest.fixture
def workers(transactional_db: None) -> Iterator[list[FakeWorker]]:
    """Two workers with the same model."""
    with fake_worker() as first, fake_worker() as second:
        for worker in (first, second):
            enrol(worker, "tiny")
        yield [first, second]


@pytest_asyncio.fixture(autouse=True)
async def clean_up() -> AsyncIterator[None]:
    yield
    await http_client().aclose()
    await sync_to_async(connections.close_all)()


async def answer(generation_id: UUID | None = None, seen: list[str] | None = None) -> str:
    """The whole text; `seen` keeps what came before an error."""
    pieces = [] if seen is None else seen
    async with aclosing(relay.generate(CALL, generation_id=generation_id)) as events:
        async for event in events:
            pieces.append(event.text)
    return "".join(pieces)


def asked(workers: list[FakeWorker]) -> list[int]:
    return sorted(len(worker.requests) for worker in workers)


async def counts() -> list[int]:
    return [worker.assigned_since_report async for worker in Worker.objects.all()]


async def test_events_come_in_order_and_the_books_are_even_afterwards(workers: list[FakeWorker]) -> None:
    call = Call(Actor(), "tiny", BODY | {"stream_options": {"include_usage": True}})
    async with aclosing(relay.generate(call)) as events:
        arrived = [event async for event in events]

    assert [event.number for event in arrived] == list(range(1, len(arrived) + 1))
    assert "".join(event.text for event in arrived) == "Hello there."
    assert [event.finish_reason for event in arrived if event.finish_reason] == ["stop"]
    assert arrived[-1].usage == {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    assert await counts() == [0, 0]


async def test_one_answer_after_the_other_comes_over_one_connection(workers: list[FakeWorker]) -> None:
    for _ in range(4):
        await answer()
    assert asked(workers) == [2, 2]
    assert [worker.n_connections for worker in workers] == [1, 1]


async def test_a_worker_hears_of_the_prompt_format_only_when_an_admin_chose_one(workers: list[FakeWorker]) -> None:
    async def fields_sent() -> list[Any]:
        await answer()
        sent = [request.get("prompt_template") for worker in workers for request in worker.requests]
        for worker in workers:
            worker.requests.clear()
        return sent

    assert await fields_sent() == [None]
    await LanguageModel.objects.filter(name="tiny").aupdate(prompt_template="vicuna_v1.1")
    assert await fields_sent() == ["vicuna_v1.1"]


async def test_a_running_request_counts_against_its_worker(workers: list[FakeWorker]) -> None:
    gate = Gate()
    for worker in workers:
        worker.play("a", gate, "b")
    async with aclosing(relay.generate(CALL)) as events:
        await anext(events)
        assert sorted(await counts()) == [0, 1]
        assert await answer_of_the_idle_one(workers, gate) == "ab"
    assert await counts() == [0, 0]


async def answer_of_the_idle_one(workers: list[FakeWorker], gate: Gate) -> str:
    """The next request goes to the worker that has none."""
    gate.open()
    text = await answer()
    assert asked(workers) == [1, 1]
    return text


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(503, WorkerErrorCode.OVERLOADED, retry_after_s=1),
        Refuse(500, WorkerErrorCode.INTERNAL),
        Refuse(401, WorkerErrorCode.UNAUTHORISED),
    ],
    ids=str,
)
async def test_a_fault_before_the_first_event_is_tried_elsewhere(workers: list[FakeWorker], fault: Refuse) -> None:
    for worker in workers:
        worker.scripts.append(fault)
        worker.play("second try")
    with pytest.raises(SiteError):
        await answer()  # both refuse once
    assert asked(workers) == [1, 1]
    assert await answer() == "second try"


async def test_a_dead_worker_is_passed_over_and_remembered(workers: list[FakeWorker]) -> None:
    workers[0].kill()
    for _ in range(6):
        assert await answer() == "Hello there."
    workers[1].kill()
    with pytest.raises(WorkerUnreachable) as failure:
        await answer()
    assert failure.value.message.count("connection refused") == 2
    dead = await Worker.objects.aget(base_url=workers[0].base_url)
    assert (dead.last_error, dead.cooling_until is not None) == ("connection refused", True)


async def test_full_queues_everywhere_are_told_as_such(workers: list[FakeWorker]) -> None:
    for worker in workers:
        worker.scripts.append(Refuse(503, WorkerErrorCode.OVERLOADED, retry_after_s=7))
    with pytest.raises(WorkerOverloaded, match="7 seconds"):
        await answer()
    assert [w.cooling_until async for w in Worker.objects.all()] == [None, None]


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refuse(400, WorkerErrorCode.INVALID_REQUEST, "temperature is out of range"), WorkerRefused),
        (Refuse(400, WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED, "9000 of 1024 tokens"), PromptTooLong),
        (Refuse(400, WorkerErrorCode.REQUEST_TOO_LARGE, "over 8 MiB"), RequestTooLarge),
        (Refuse(413, WorkerErrorCode.INVALID_REQUEST, "over 8 MiB"), RequestTooLarge),
    ],
)
async def test_a_clients_fault_is_told_at_once_and_held_against_nobody(
    workers: list[FakeWorker], refusal: Refuse, error: type[SiteError]
) -> None:
    for worker in workers:
        worker.scripts.append(refusal)
    with pytest.raises(error, match=refusal.message):
        await answer()
    assert asked(workers) == [0, 1]
    assert [w.last_error async for w in Worker.objects.all()] == ["", ""]


@pytest.mark.parametrize("said", [b"<html>", b"[]", b"\xff", b""])
async def test_a_whole_answer_that_is_none_is_the_workers_fault_and_asked_for_elsewhere(
    workers: list[FakeWorker], said: bytes
) -> None:
    for worker in workers:
        worker.scripts.append(Nonsense(said))
        worker.play("second try")
    with pytest.raises(WorkerUnreachable) as failure:
        await relay.complete(CALL)
    assert failure.value.message.count("does not speak the protocol") == 2
    whole = await relay.complete(CALL)
    assert whole["choices"][0]["message"]["content"] == "second try"
    assert [w.window.n_faults async for w in Worker.objects.all()] == [1, 1]


@pytest.mark.parametrize("said", [b"data: 5\n\n", b'data: {"error": "out of paper"}\n\n', b"data: {\n\n"])
async def test_events_that_are_none_are_the_workers_fault(workers: list[FakeWorker], said: bytes) -> None:
    for worker in workers:
        worker.scripts.append(Nonsense(said))
    with pytest.raises(WorkerUnreachable, match=r"does not speak the protocol|out of paper"):
        await answer()
    assert asked(workers) == [1, 1]


async def test_workers_that_hang_are_given_up_as_silent(
    workers: list[FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "READ_TIMEOUT_S", 0.3)
    gate = Gate()
    for worker in workers:
        worker.scripts.append(gate)
    with pytest.raises(WorkerTimedOut) as failure:
        await answer()
    gate.open()
    assert failure.value.message.count("silent for too long") == 2
    error = api_error(failure.value)
    assert (error.status, error.body["error"]["code"]) == (504, "worker_timeout")


async def test_a_lone_worker_that_hangs_is_not_asked_a_second_time(
    workers: list[FakeWorker], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WORKER_PATIENCE_S = 5.0
    monkeypatch.setattr(outbound, "READ_TIMEOUT_S", 0.3)
    lone, other = workers
    await Worker.objects.filter(base_url=other.base_url).aupdate(is_drained=True)
    gate = Gate()
    lone.scripts.extend([gate, gate])
    with pytest.raises(WorkerTimedOut, match="silent for too long"):
        await answer()
    gate.open()
    assert asked(workers) == [0, 1]
    assert await counts() == [0, 0]


async def test_a_broken_connection_is_taken_up_without_gap_or_duplicate(workers: list[FakeWorker]) -> None:
    for worker in workers:
        worker.play("one ", "two ", Cut(), "three ", Cut(), "four")
    assert await answer(uuid4()) == "one two three four"


async def test_a_plain_call_whose_connection_breaks_has_died(workers: list[FakeWorker]) -> None:
    seen: list[str] = []
    gate = Gate()
    for worker in workers:
        worker.play("one ", gate, Cut(), Gate())
    gate.open()
    with pytest.raises(WorkerDied):
        await answer(seen=seen)
    assert "".join(seen) == "one "


async def test_a_worker_killed_in_mid_answer_has_died_and_what_came_is_kept(workers: list[FakeWorker]) -> None:
    gate = Gate()
    for worker in workers:
        worker.play("one ", gate)
    seen: list[str] = []
    async with aclosing(relay.generate(CALL, generation_id=uuid4())) as events:
        with pytest.raises(WorkerDied):
            async for event in events:
                seen.append(event.text)
                if event.text:
                    await gate.was_reached()
                    for worker in workers:
                        worker.kill()
    assert "".join(seen) == "one "
    assert await counts() == [0, 0]


async def test_an_error_event_in_the_stream_is_raised(workers: list[FakeWorker]) -> None:
    for worker in workers:
        worker.play("one ", Fail(message="out of paper"))
    seen: list[str] = []
    with pytest.raises(WorkerInternal, match="out of paper"):
        await answer(uuid4(), seen)
    assert "".join(seen) == "one "


async def test_attaching_after_a_number_replays_what_follows(workers: list[FakeWorker]) -> None:
    generation_id = uuid4()
    assert await answer(generation_id) == "Hello there."
    asked_one = next(worker for worker in workers if worker.requests)
    target = Target(worker_id=0, base_url=asked_one.base_url, access_token=asked_one.access_token)

    async with aclosing(relay.follow(target, generation_id, after=2)) as events:
        numbers = [event.number async for event in events]
    assert numbers == [3, 4, 5, 6]

    asked_one.forget()
    with pytest.raises(GenerationGone):
        async with aclosing(relay.follow(target, generation_id, after=2)) as events:
            await anext(events)
    await relay.cancel(target, generation_id)  # nothing to cancel is no error
