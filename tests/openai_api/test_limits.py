"""Limits as programs meet them: 429 in OpenAI's envelope, with when to come back."""

import pytest
from django.test import Client

from apps.accounts.models import Metric, Period
from apps.accounts.services import api_key_create
from tests.accounts.support import limit
from tests.fake_worker import enrol, fake_worker

# Transactional: the async views read from a thread with a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("metric", "period", "kind", "code"),
    [
        (Metric.REQUESTS, Period.MINUTE, "rate_limit_error", "rate_limit_exceeded"),
        (Metric.CONCURRENCY, Period.AT_ONCE, "rate_limit_error", "rate_limit_exceeded"),
        (Metric.REQUESTS, Period.DAY, "insufficient_quota", "quota_exceeded"),
        (Metric.COST, Period.MONTH, "insufficient_quota", "insufficient_quota"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_limit_that_is_used_up_is_a_429_that_says_when_to_come_back(
    client: Client, metric: Metric, period: Period, kind: str, code: str, stream: bool
) -> None:
    secret = api_key_create(name="test", user=None).secret
    with fake_worker() as worker:
        model = enrol(worker, "tiny").hosted.get().model
        model.output_price = 1
        model.save()
        limit(0, metric, period)
        reply = client.post(
            "/v1/chat/completions",
            {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "stream": stream},
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )
        assert worker.requests == []

    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["code"]) == (429, kind, code)
    assert int(reply["Retry-After"]) >= 1
    assert "0 used" in error["message"]
