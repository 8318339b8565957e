"""Who gets a place, and what the keeper of a process's requests does when the database or a look fails."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.core.threads import in_thread
from apps.workers.breaker import Fault
from apps.workers.call import Call
from apps.workers.models import RENEWED_WITHIN, PoolRequest, RequestState, Worker
from apps.workers.services import admission, assignments
from apps.workers.services.admission import Entered
from apps.workers.tickets import Ticket, keeper
from tests.fake_worker import FakeWorker, enrol

T = TypeVar("T")
WAIT_S = 20
CALL = Call(Actor(user_id=1), "tiny", {"messages": [{"role": "user", "content": "Hi"}]})


def enter() -> Entered:
    return admission.request_enter(CALL, trace_id="", generation_id=None)


def worker_of(entered: Entered) -> int | None:
    return None if entered.target is None else entered.target.worker_id


def with_one_place() -> Worker:
    worker = enrol(FakeWorker(), "tiny")
    Worker.objects.filter(pk=worker.pk).update(slots=1)
    return worker


def elsewhere(work: Callable[[], T]) -> T:
    """As another process does it: with a connection of its own."""
    try:
        return work()
    finally:
        connections.close_all()


# --- Who gets a place -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_worker_that_cools_down_gets_nothing_while_another_serves_even_if_that_one_is_full() -> None:
    full, gone = with_one_place(), enrol(FakeWorker(), "tiny")
    assignments.fault_record(gone.pk, Fault.UNREACHABLE, "connection refused")
    entered = [enter() for _ in range(3)]
    assert [worker_of(request) for request in entered] == [full.pk, None, None]

    Worker.objects.filter(pk=full.pk).update(is_drained=True)  # now there is no other
    waiting = entered[1].request_id
    seen = admission.queue_look(entered[1].model_id, [waiting])
    assert getattr(seen[waiting], "worker_id", None) == gone.pk


def test_one_who_leaves_while_places_are_given_out_is_not_given_one(transactional_db: None) -> None:
    with_one_place()
    running, leaving = enter(), enter()
    assignments.request_end(running.request_id, outcome="answered", is_settled=False)
    leave = partial(assignments.request_end, leaving.request_id, outcome=PoolRequest.LEFT, is_settled=False)
    with ThreadPoolExecutor(2) as threads:
        with transaction.atomic():
            Worker.objects.select_for_update().get()  # so that the look stops between the order and the places
            look = threads.submit(elsewhere, partial(admission.queue_look, leaving.model_id, [leaving.request_id]))
            while not somebody_waits_for_us():
                assert not look.done()
            threads.submit(elsewhere, leave).result(WAIT_S)
        assert look.result(WAIT_S) == {}
    assert PoolRequest.objects.get(pk=leaving.request_id).state == RequestState.ENDED
    assert Worker.objects.get().queue == 0


def somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return cursor.fetchone() is not None


# --- The keeper -------------------------------------------------------------------------------------------------------


async def told(ticket: Ticket) -> None:
    async with asyncio.timeout(WAIT_S):
        while ticket.target is None:
            ticket.changed.clear()
            await ticket.changed.wait()
    keeper().drop(ticket)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OperationalError("the database is away")])
async def test_the_keeper_goes_on_after_any_error(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    await sync_to_async(with_one_place)()
    running, waiting = await in_thread(enter), await in_thread(enter)
    look = admission.queue_look
    errors = [error]

    def broken_at_first(*args: Any) -> Any:
        if errors:
            raise errors.pop()
        return look(*args)

    monkeypatch.setattr(admission, "queue_look", broken_at_first)
    await in_thread(partial(assignments.request_end, running.request_id, outcome="answered", is_settled=False))
    await told(keeper().take(waiting))
    assert not errors
    await sync_to_async(connections.close_all)()


async def test_after_the_database_was_away_requests_are_renewed_before_places_are_given_out(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sync_to_async(with_one_place)()
    running, waiting = await in_thread(enter), await in_thread(enter)
    tickets = [keeper().take(running), keeper().take(waiting)]
    look = admission.queue_look
    n_live: list[int] = []

    def away_for_long_at_first(*args: Any) -> Any:
        if not n_live:
            PoolRequest.objects.update(renewed_at=timezone.now() - timedelta(minutes=1))
        live = PoolRequest.objects.filter(renewed_at__gt=timezone.now() - RENEWED_WITHIN)
        n_live.append(live.count())
        if len(n_live) == 1:
            raise OperationalError("away")
        if len(n_live) == 2:
            assignments.request_end(running.request_id, outcome="answered", is_settled=False)
        return look(*args)

    monkeypatch.setattr(admission, "queue_look", away_for_long_at_first)
    await told(tickets[1])
    keeper().drop(tickets[0])
    assert n_live[:2] == [0, 2]
    await sync_to_async(connections.close_all)()
