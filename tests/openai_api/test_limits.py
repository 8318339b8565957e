"""How far limits are used up is told with each answer, and a refusal says when to come again."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections
from django.test import Client

from apps.accounts.actors import Actor
from apps.accounts.models import Audience, Limit, Metric, Period, User
from apps.accounts.services import api_key_create
from apps.core.outbound import http_client
from apps.openai_api import metering
from apps.openai_api.api.door import answer
from apps.workers.call import Call
from apps.workers.models import Worker
from tests.accounts.support import ledger_of
from tests.fake_worker import WAIT_S, Gate, enrol, fake_worker

pytestmark = pytest.mark.django_db(transaction=True)


def test_answers_tell_what_is_left_and_the_one_too_many_is_refused(client: Client, enrolled: Worker) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.REQUESTS, period=Period.DAY, amount=2)

    def ask() -> Any:
        body = {"model": "tiny", "prompt": "Hi", "max_tokens": 1}
        return client.post("/v1/completions", body, content_type="application/json", headers=headers)

    replies = [ask() for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert [reply.get("x-ratelimit-remaining-requests") for reply in replies[:2]] == ["1", "0"]
    assert replies[0]["x-ratelimit-limit-requests"] == "2"
    assert replies[0]["x-ratelimit-reset-requests"]
    error = replies[2].json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "quota_exceeded")
    assert int(replies[2]["Retry-After"]) > 0


def test_without_limits_there_are_no_headers_of_limits(client: Client, enrolled: Worker) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 1}
    reply = client.post("/v1/completions", body, content_type="application/json", headers=headers)
    assert reply.status_code == 200
    assert not [name for name in reply.headers if name.lower().startswith("x-ratelimit")]


def test_an_answer_that_is_worked_on_later_tells_the_limits_too(client: Client, enrolled: Worker) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.REQUESTS, period=Period.DAY, amount=2)
    body = {"model": "tiny", "input": "Hi", "background": True}
    reply = client.post("/v1/responses", body, content_type="application/json", headers=headers)
    assert (reply.status_code, reply.get("x-ratelimit-limit-requests")) == (200, "2")


def test_a_call_that_never_fits_is_told_no_time_to_come_again(client: Client, enrolled: Worker) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.TOKENS, period=Period.DAY, amount=2)
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 100}
    reply = client.post("/v1/completions", body, content_type="application/json", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "quota_exceeded")
    assert "more than the whole limit" in reply.json()["error"]["message"]
    assert "Retry-After" not in reply.headers


def test_while_the_database_is_away_an_answer_is_sent_without_the_headers(
    client: Client, enrolled: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> dict[str, str]:
        raise OperationalError("the connection is closed")

    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.REQUESTS, period=Period.DAY, amount=2)
    monkeypatch.setattr(metering, "rate_limit_headers", away)
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 1}
    reply = client.post("/v1/completions", body, content_type="application/json", headers=headers)
    assert reply.status_code == 200
    assert "sent without the headers of limits: the connection is closed" in caplog.text


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_stream_that_nobody_will_read_is_closed(alice: User, is_cancelled: bool) -> None:
    looked = asyncio.Event()

    async def headers() -> dict[str, str]:
        looked.set()
        if is_cancelled:
            await asyncio.Event().wait()
        raise RuntimeError("something else")

    with fake_worker() as worker:
        await sync_to_async(enrol)(worker, "tiny")
        worker.play("one", Gate())
        call = Call(Actor(user_id=alice.pk), "tiny", {"messages": [{"role": "user", "content": "Hi"}]})
        asking = asyncio.create_task(answer(call, is_stream=True, headers=headers))
        await asyncio.wait_for(looked.wait(), WAIT_S)
        if is_cancelled:
            asking.cancel()
        with pytest.raises(asyncio.CancelledError if is_cancelled else RuntimeError):
            await asking
        assert [row[0] for row in await sync_to_async(ledger_of)(alice)] == ["stopped"]
    await http_client().aclose()
    await sync_to_async(connections.close_all)()
