"""The life of a batch on a real worker: answered, refused line by line, cancelled, killed and resumed."""

import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.accounts.models import LedgerEntry, User
from apps.accounts.services import NewKey, api_key_create, api_key_revoke
from apps.openai_api.batch_input import RESPONSES
from apps.openai_api.batch_runner import MAX_ATTEMPTS, batch_advance
from apps.openai_api.models import ApiFile, Batch, BatchLine, BatchState
from apps.openai_api.selectors import batches_free
from apps.openai_api.services import batches
from apps.workers.models import Worker
from tests.gpu_worker.live_worker import LiveWorker
from tests.live import ROOT, wait_until
from tests.openai_api.batch_support import advance_to_the_end, content_of, line, new_batch

# Transactional: the runner asks from threads with connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_batch_answers_each_line_as_the_endpoint_would(enrolled: Worker, key: NewKey) -> None:
    names = [f"n{i}" for i in range(11)]
    batch = advance_to_the_end(new_batch(key, *map(line, names)))

    assert (batch.state, batch.n_total, batch.n_completed, batch.n_failed) == ("completed", 11, 11, 0)
    answers = content_of(batch.output_file)
    assert [answer["custom_id"] for answer in answers] == names
    assert {answer["response"]["status_code"] for answer in answers} == {200}
    assert len({answer["response"]["request_id"] for answer in answers}) == 11
    assert all(answer["response"]["body"]["usage"]["completion_tokens"] == 4 for answer in answers)
    assert batch.error_file is None
    assert BatchLine.objects.count() == 0
    assert batches_free(9) == []


def response_line(custom_id: str, **body: Any) -> dict[str, Any]:
    wanted = {"model": "tiny", "input": f"say {custom_id}", "max_output_tokens": 4, "temperature": 0} | body
    return {"custom_id": custom_id, "method": "POST", "url": RESPONSES, "body": wanted}


def test_a_batch_of_responses_answers_each_line_as_that_endpoint_would(
    client: Client, enrolled: Worker, key: NewKey
) -> None:
    lines = [response_line("kept"), response_line("unkept", store=False), response_line("hot", temperature=9)]
    lines += [response_line("lost", previous_response_id="resp_0"), response_line("odd", truncation="auto")]
    batch = advance_to_the_end(new_batch(key, *lines, endpoint=RESPONSES))

    assert (batch.state, batch.n_completed, batch.n_failed) == ("completed", 2, 3)
    answers = {one["custom_id"]: one["response"]["body"] for one in content_of(batch.output_file)}
    assert {answer["object"] for answer in answers.values()} == {"response"}
    assert all(answer["usage"]["output_tokens"] == 4 for answer in answers.values())
    errors = {one["custom_id"]: one["response"] for one in content_of(batch.error_file)}
    told = {name: (reply["status_code"], reply["body"]["error"]["param"]) for name, reply in errors.items()}
    assert told == {"hot": (400, "temperature"), "lost": (404, "previous_response_id"), "odd": (400, "truncation")}

    headers = {"Authorization": f"Bearer {key.secret}"}
    assert client.get(f"/v1/responses/{answers['kept']['id']}", headers=headers).json() == answers["kept"]
    assert client.get(f"/v1/responses/{answers['unkept']['id']}", headers=headers).status_code == 404
    assert set(LedgerEntry.objects.values_list("endpoint", "state")) == {
        (RESPONSES, "complete"),
        (RESPONSES, "refused"),
    }


def test_a_line_that_is_refused_fails_alone_with_the_endpoints_error(enrolled: Worker, key: NewKey) -> None:
    lines = [line("fine"), line("hot", temperature=9), line("lost", model="nope"), {**line("bare"), "body": {}}]
    batch = advance_to_the_end(new_batch(key, *lines))

    assert (batch.state, batch.n_completed, batch.n_failed) == ("completed", 1, 3)
    errors = {one["custom_id"]: one["response"] for one in content_of(batch.error_file)}
    told = {name: (reply["status_code"], reply["body"]["error"]["param"]) for name, reply in errors.items()}
    assert told == {"hot": (400, "temperature"), "lost": (404, "model"), "bare": (400, "model")}
    assert [one["custom_id"] for one in content_of(batch.output_file)] == ["fine"]


def test_a_file_with_mistakes_fails_the_batch_and_runs_nothing(enrolled: Worker, key: NewKey) -> None:
    batch = advance_to_the_end(new_batch(key, line("a"), line("a")))
    assert (batch.state, batch.n_completed) == (BatchState.FAILED, 0)
    assert [(error["code"], error["line"]) for error in batch.errors] == [("duplicate_custom_id", 2)]
    assert BatchLine.objects.count() == 0


def test_a_file_that_was_deleted_before_it_was_read_fails_the_batch(enrolled: Worker, key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    ApiFile.objects.get().delete()
    assert [error["code"] for error in advance_to_the_end(batch).errors] == ["file_deleted"]


def test_lines_wait_while_no_worker_is_there(enrolled: Worker, key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    Worker.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    advance_to_the_end(batch)
    assert (batch.state, batch.n_failed) == (BatchState.IN_PROGRESS, 0)
    assert batches_free(9) == [batch.pk]

    Worker.objects.update(lease_expires_at=timezone.now() + timedelta(hours=1))
    assert advance_to_the_end(batch).n_completed == 1


def test_a_line_that_fails_its_worker_each_time_is_given_up(enrolled: Worker, key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    Worker.objects.update(base_url="http://127.0.0.1:9")
    batch_advance(batch.pk)
    batch_advance(batch.pk)
    assert BatchLine.objects.get().n_attempts == 1

    BatchLine.objects.update(n_attempts=MAX_ATTEMPTS)
    advance_to_the_end(batch)
    [error] = content_of(batch.error_file)
    assert error["response"]["status_code"] == 503


def test_what_is_left_when_the_window_ends_expires(enrolled: Worker, key: NewKey) -> None:
    batch = new_batch(key, line("a"), line("b"))
    batch_advance(batch.pk)
    BatchLine.objects.filter(custom_id="a").update(status_code=200, answer={})
    Batch.objects.update(expires_at=timezone.now(), n_completed=1)

    assert advance_to_the_end(batch).state == BatchState.EXPIRED
    assert [one["custom_id"] for one in content_of(batch.output_file)] == ["a"]
    assert [one["error"]["code"] for one in content_of(batch.error_file)] == ["batch_expired"]


def test_a_cancelled_batch_keeps_what_it_has(enrolled: Worker, key: NewKey) -> None:
    batch = new_batch(key, line("a"), line("b"))
    batch_advance(batch.pk)
    BatchLine.objects.filter(custom_id="a").update(status_code=200, answer={})
    Batch.objects.update(n_completed=1)
    assert batches.batch_cancel(batch).state == BatchState.CANCELLING

    assert advance_to_the_end(batch).state == BatchState.CANCELLED
    assert [one["custom_id"] for one in content_of(batch.output_file)] == ["a"]
    assert [one["error"]["code"] for one in content_of(batch.error_file)] == ["batch_cancelled"]


def test_the_batch_of_a_revoked_key_asks_nothing_more(enrolled: Worker, key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    batch_advance(batch.pk)
    api_key_revoke(key.key)
    assert advance_to_the_end(batch).state == BatchState.FAILED
    assert (batch.errors[0]["code"], batch.n_completed) == ("invalid_api_key", 0)


def test_one_runner_at_a_time(enrolled: Worker, key: NewKey) -> None:
    batch = new_batch(key, line("a"))
    batch_advance(batch.pk)
    other = uuid.uuid4()
    assert batches.batch_claim(batch.pk, other) is not None
    assert not batch_advance(batch.pk)
    assert batches_free(9) == []
    batches.batch_release(batch.pk, other)
    assert advance_to_the_end(batch).n_completed == 1


def own_database_url() -> str:
    """The tests' own database, for a process that is not a test."""
    name = str(settings.DATABASES["default"]["NAME"])
    return os.environ["DATABASE_URL"].replace("/fastchat?", f"/{name}?", 1)


RUN = """
import django
django.setup()
from apps.openai_api.batch_runner import batch_advance
batch_advance({pk}, slice_s=300)
"""


def test_a_batch_whose_runner_is_killed_is_resumed_and_answers_each_line_once(
    enrolled: Worker, tiny_worker: LiveWorker, key: NewKey
) -> None:
    names = [f"n{i}" for i in range(40)]
    batch = new_batch(key, *(line(name, max_tokens=64) for name in names))
    batch_advance(batch.pk)
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "fastchat_site.settings.test", "DATABASE_URL": own_database_url()}
    child = subprocess.Popen([sys.executable, "-c", RUN.format(pk=batch.pk)], env=env, cwd=ROOT)
    try:
        wait_until(lambda: Batch.objects.get().n_completed >= 8, what="some lines to be answered", limit_s=90)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    answered = dict(BatchLine.objects.filter(status_code=200).values_list("custom_id", "answer"))
    assert 8 <= len(answered) < 40
    assert not batch_advance(batch.pk)  # the dead one's lease holds yet

    Batch.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert batches_free(9) == [batch.pk]
    advance_to_the_end(batch)
    answers = content_of(batch.output_file)
    assert [one["custom_id"] for one in answers] == names
    assert {one["custom_id"]: one["response"]["body"] for one in answers}.items() >= answered.items()
    assert (batch.state, batch.n_completed, batch.error_file) == ("completed", 40, None)


def charlies_doors() -> list[tuple[str, str]]:
    return [
        ("get", "/v1/files/{file}"),
        ("get", "/v1/files/{file}/content"),
        ("get", "/v1/files?after={file}"),
        ("delete", "/v1/files/{file}"),
        ("get", "/v1/batches/{batch}"),
        ("get", "/v1/batches?after={batch}"),
        ("post", "/v1/batches/{batch}/cancel"),
    ]


@pytest.mark.parametrize(("method", "path"), charlies_doors())
def test_charlie_finds_nothing_of_alices_and_her_other_key_all_of_it(
    client: Client, alice: User, charlie: User, key: NewKey, method: str, path: str
) -> None:
    batch = new_batch(key, line("a"))
    address = path.format(file=f"file-{batch.input_file_public_id.hex}", batch=f"batch_{batch.public_id.hex}")
    strangers = [api_key_create(name="c", user=charlie), api_key_create(name="site", user=None)]

    for stranger in strangers:
        reply = getattr(client, method)(address, headers={"Authorization": f"Bearer {stranger.secret}"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
    assert Batch.objects.get().state == BatchState.VALIDATING
    hers = api_key_create(name="her other one", user=alice)
    assert getattr(client, method)(address, headers={"Authorization": f"Bearer {hers.secret}"}).status_code == 200
