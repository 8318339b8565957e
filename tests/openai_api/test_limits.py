"""How far limits are used up is told with each answer, and a refusal says when to come again."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Audience, Limit, Metric, Period
from apps.accounts.services import api_key_create
from apps.workers.models import Worker

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


def test_a_call_that_never_fits_is_told_no_time_to_come_again(client: Client, enrolled: Worker) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    Limit.objects.create(audience=Audience.EVERYONE, metric=Metric.TOKENS, period=Period.DAY, amount=2)
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 100}
    reply = client.post("/v1/completions", body, content_type="application/json", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "quota_exceeded")
    assert "more than the whole limit" in reply.json()["error"]["message"]
    assert "Retry-After" not in reply.headers
