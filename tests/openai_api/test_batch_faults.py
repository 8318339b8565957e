"""Batches when something is wrong: with an answer, a key, a model, the database, or another runner."""

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from apps.accounts.models import ApiKey, User
from apps.accounts.services import NewKey
from apps.catalog.models import LanguageModel
from apps.openai_api import batch_answers, batch_runner
from apps.openai_api.batch_input import InputLine, parsed_lines
from apps.openai_api.batch_runner import batch_advance
from apps.openai_api.models import ApiFile, Batch, BatchLine, BatchState
from apps.openai_api.services import batches, files
from apps.workers.models import Worker
from tests.background import in_background, is_somebody_waiting_for_a_lock
from tests.fake_worker import FakeWorker, Gate, enrol, fake_worker
from tests.live import wait_until
from tests.openai_api.batch_support import (
    advance_to_the_end,
    content_of,
    line,
    new_batch,
)

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"


@pytest.fixture
def fake(db: None) -> Iterator[FakeWorker]:
    with fake_worker() as worker:
        enrol(worker, "tiny")
        yield worker


def chat_batch(key: NewKey, *names: str) -> Batch:
    messages = [{"role": "user", "content": "Hi"}]
    lines = [
        {"custom_id": name, "method": "POST", "url": CHAT, "body": {"model": "tiny", "messages": messages}}
        for name in names
    ]
    return new_batch(key, *lines, endpoint=CHAT)


def test_an_answer_with_what_postgres_cannot_keep_is_cleaned_and_asked_for_once(fake: FakeWorker, key: NewKey) -> None:
    fake.play("a\0b")
    batch = advance_to_the_end(chat_batch(key, "only"))
    [answer] = content_of(batch.output_file)
    assert answer["response"]["body"]["choices"][0]["message"]["content"] == "ab"
    assert (batch.state, len(fake.requests)) == ("completed", 1)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [float("inf"), float("nan"), nested(100_000)], ids=["inf", "nan", "deep"])
def test_an_answer_that_cannot_be_stored_at_all_fails_its_line_alone(key: NewKey, value: object) -> None:
    batch = new_batch(key, line("a"), line("b"))
    batch_advance(batch.pk)
    first, second = BatchLine.objects.order_by("number")
    batches.line_answer(first, status_code=200, answer={"choices": value})
    batches.line_answer(second, status_code=200, answer={"choices": []})
    batches.batch_close(batch)
    advance_to_the_end(batch)

    assert (batch.state, batch.n_completed, batch.n_failed) == ("completed", 1, 1)
    [error] = content_of(batch.error_file)
    assert (error["custom_id"], error["response"]["status_code"]) == ("a", 502)
    assert error["response"]["body"]["error"]["code"] == "answer_unstorable"


def test_a_file_whose_line_cannot_be_stored_fails_the_batch(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    # The parser lets none through that is known to be like this.
    monkeypatch.setattr(batches, "parsed_lines", lambda *_, **__: iter([InputLine(1, "a", {"x": float("inf")})]))
    batch = advance_to_the_end(new_batch(key, line("a")))
    assert (batch.state, [error["code"] for error in batch.errors]) == ("failed", ["invalid_json_line"])


def test_a_batch_that_was_never_read_expires_too(key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    Batch.objects.update(expires_at=timezone.now())
    advance_to_the_end(batch)
    assert (batch.state, batch.output_file, batch.error_file) == (BatchState.EXPIRED, None, None)


@pytest.mark.parametrize("why", ["revoked", "expired", "switched off"])
def test_a_key_that_opens_no_more_ends_its_batch_with_what_was_answered(alice: User, key: NewKey, why: str) -> None:
    batch = new_batch(key, line("a"), line("b"))
    batch_advance(batch.pk)
    batches.line_answer(BatchLine.objects.get(custom_id="a"), status_code=200, answer={})
    match why:
        case "revoked":
            ApiKey.objects.update(revoked_at=timezone.now())
        case "expired":
            ApiKey.objects.update(expires_at=timezone.now())
        case _:
            User.objects.filter(pk=alice.pk).update(is_active=False)

    assert advance_to_the_end(batch).state == BatchState.FAILED
    assert [one["custom_id"] for one in content_of(batch.output_file)] == ["a"]
    [left] = content_of(batch.error_file)
    assert (left["custom_id"], left["error"]["code"]) == ("b", "invalid_api_key")
    assert why in left["error"]["message"]
    assert why in batch.errors[0]["message"]


def test_a_batch_that_was_cancelled_while_it_was_read_does_not_fail(key: NewKey) -> None:
    batch = new_batch(key, line("a"), line("a"))
    batches.batch_cancel(Batch.objects.get())
    batches.batch_validate(batch)  # by a runner that took it up before
    assert advance_to_the_end(batch).state == BatchState.CANCELLED


def test_a_second_runner_that_reads_the_file_again_changes_nothing(key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    batches.batch_validate(batch)
    batches.batch_validate(batch)
    batch.refresh_from_db()
    assert (batch.state, batch.n_total, BatchLine.objects.count()) == ("in_progress", 1, 1)


def test_lines_whose_model_is_away_hold_up_no_others(enrolled: Worker, key: NewKey) -> None:
    LanguageModel.objects.create(name="away", context_length=64)
    lost = [line(f"lost{i}", model="away") for i in range(batch_runner.AT_ONCE)]
    batch = new_batch(key, *lost, line("last"))
    for _ in range(3):  # it is read, the first lines are tried, and then the last one
        batch_advance(batch.pk)
    assert BatchLine.objects.get(custom_id="last").status_code == 200
    assert BatchLine.objects.filter(status_code=None, n_attempts=0).count() == len(lost)


def test_while_the_database_is_away_lines_wait(fake: FakeWorker, key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = chat_batch(key, "a")
    batch_advance(batch.pk)

    def away(*_: object) -> None:
        raise OperationalError("the database system is starting up")

    with monkeypatch.context() as patched:
        patched.setattr(batch_answers, "call_for", away)
        assert not batch_advance(batch.pk)
    assert BatchLine.objects.get().status_code is None
    assert advance_to_the_end(batch).n_completed == 1


def test_a_lease_outlasts_a_database_that_is_away_for_a_moment(
    fake: FakeWorker, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = chat_batch(key, "a")
    batch_advance(batch.pk)
    gate, claims, claim = Gate(), [], batches.batch_claim
    fake.play("slow", gate)

    def claimed(*arguments: Any) -> Batch | None:
        claims.append(arguments)
        if len(claims) == 2:
            raise OperationalError("the database system is starting up")
        if len(claims) == 4:
            gate.open()
        return claim(*arguments)

    monkeypatch.setattr(batches, "batch_claim", claimed)
    monkeypatch.setattr(batch_runner, "RENEW_S", 0.01)
    assert advance_to_the_end(batch).n_completed == 1
    assert len(claims) >= 4


def test_a_runner_that_could_not_renew_its_lease_asks_nothing_more(
    fake: FakeWorker, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = chat_batch(key, "a", "b")
    batch_advance(batch.pk)
    gate, late = Gate(), threading.Event()
    fake.play("slow", gate)
    monkeypatch.setattr(batch_runner, "AT_ONCE", 1)
    monkeypatch.setattr(batch_runner, "RENEW_S", 1000)
    monkeypatch.setattr(batch_runner, "monotonic", lambda: monotonic() + (batches.LEASE_S if late.is_set() else 0))

    def let_it_be_late() -> None:
        assert gate.reached.wait(30)
        late.set()
        gate.open()

    helper = threading.Thread(target=let_it_be_late)
    helper.start()
    assert not batch_advance(batch.pk, slice_s=1000)
    helper.join()
    assert len(fake.requests) == 1


def test_a_file_that_is_being_read_is_deleted_afterwards(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK_BYTES", 64)
    batch = new_batch(key, *(line(f"n{i}") for i in range(9)))
    deleted, deleting = threading.Event(), list[threading.Thread]()

    def delete() -> None:
        files.file_delete(ApiFile.objects.get())
        deleted.set()

    def slowly(*arguments: Any, **options: Any) -> Iterator[InputLine]:
        for number, one in enumerate(parsed_lines(*arguments, **options)):
            if not number:
                deleting.append(in_background(delete))
                wait_until(lambda: deleted.is_set() or is_somebody_waiting_for_a_lock(), what="the deletion to begin")
            yield one

    monkeypatch.setattr(batches, "parsed_lines", slowly)
    batches.batch_validate(batch)
    deleting[0].join()
    batch.refresh_from_db()
    assert (batch.state, batch.n_total, batch.input_file) == ("in_progress", 9, None)
