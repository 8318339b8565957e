"""Commands with which an operator looks at the pool: a message, a measurement, the timeline of a request."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from apps.workers.models import PoolRequest, Worker
from gpu_worker.protocol import WorkerErrorCode
from tests.fake_worker import FakeWorker, Refuse, enrol, fake_worker


@pytest.fixture
def workers(transactional_db: None) -> Iterator[list[FakeWorker]]:
    with fake_worker() as first, fake_worker() as second:
        for worker in (first, second):
            enrol(worker, "tiny")
        yield [first, second]


Captured = pytest.CaptureFixture[str]


def test_a_message_is_answered_as_it_comes(workers: list[FakeWorker], capsys: Captured) -> None:
    call_command("test_message", "tiny", "--message", "Hi", "--max-tokens", "7")
    said = capsys.readouterr()
    assert said.out == "Hello there.\n"
    assert "first text after" in said.err
    [body] = [body for worker in workers for body in worker.requests]
    assert (body["messages"], body["max_tokens"]) == ([{"role": "user", "content": "Hi"}], 7)


def test_a_message_to_nobody_says_why(workers: list[FakeWorker]) -> None:
    with pytest.raises(CommandError, match="No worker serves 'large'"):
        call_command("test_message", "large")


def test_throughput_is_measured_with_each_workers_share(workers: list[FakeWorker], capsys: Captured) -> None:
    call_command("test_throughput", "tiny", "--requests", "6", "--at-once", "2")
    said = capsys.readouterr()
    assert "requests answered    6 of 6" in said.out
    assert [len(worker.requests) for worker in workers] == [3, 3]
    pks = Worker.objects.order_by("pk").values_list("pk", flat=True)
    assert all(f"worker {pk}" in said.out for pk in pks)
    assert "[##############################] 6/6" in said.err
    with pytest.raises(CommandError, match="at least 1"):
        call_command("test_throughput", "tiny", "--requests", "0")


def test_whoever_measures_may_fill_the_queue(workers: list[FakeWorker], capsys: Captured, settings: Any) -> None:
    settings.QUEUE_MAX_PER_VISITOR = settings.QUEUE_MAX_PER_USER = settings.QUEUE_MAX_PER_KEY = 1
    Worker.objects.update(slots=1)
    call_command("test_throughput", "tiny", "--requests", "8", "--at-once", "8")
    assert "requests answered    8 of 8" in capsys.readouterr().out


def test_throughput_of_a_broken_pool_counts_what_went_wrong(workers: list[FakeWorker], capsys: Captured) -> None:
    for worker in workers:
        worker.scripts.extend([Refuse(400, WorkerErrorCode.INVALID_REQUEST)] * 4)
    with pytest.raises(CommandError, match="no request was answered"):
        call_command("test_throughput", "tiny", "--requests", "4")
    assert "workers.refused" in capsys.readouterr().out


def test_the_timeline_of_a_request_tells_what_failed_on_the_way(workers: list[FakeWorker], capsys: Captured) -> None:
    workers[0].scripts.append(Refuse(500, WorkerErrorCode.INTERNAL, "no paper"))
    workers[1].scripts.append(Refuse(500, WorkerErrorCode.INTERNAL, "no ink"))
    workers[0].kill()
    call_command("test_throughput", "tiny", "--requests", "2", "--at-once", "1")
    request = PoolRequest.objects.exclude(attempts=[]).earliest("pk")
    PoolRequest.objects.filter(pk=request.pk).update(trace_id="abc-12345", generation_id=uuid4())
    request.refresh_from_db()
    capsys.readouterr()

    for name in ("abc-12345", str(request.generation_id)):
        call_command("trace", name)
        lines = capsys.readouterr().out.splitlines()
        assert "of tiny for installation, id abc-12345" in lines[0]
        assert [line.split("  ")[-1].split(":")[0].split(",")[0] for line in lines[1:3]] == ["arrived", "its turn came"]
        assert any("failed: connection refused" in line or "failed: no ink" in line for line in lines)
        assert lines[-1].endswith(f"ended: {request.outcome}")
    with pytest.raises(CommandError, match="no request 'nothing'"):
        call_command("trace", "nothing")
