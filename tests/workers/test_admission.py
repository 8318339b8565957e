"""Who gets a place."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest
from django.db import connection, connections, transaction

from apps.accounts.actors import Actor
from apps.workers.breaker import Fault
from apps.workers.call import Call
from apps.workers.models import PoolRequest, RequestState, Worker
from apps.workers.services import admission, assignments
from apps.workers.services.admission import Entered
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
