"""What people see of their use: a meter for each limit, sums by model, and their ledger to take away."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import AsyncClient, Client
from django.utils import timezone

from apps.accounts import ledger, settlement
from apps.accounts.actors import Actor
from apps.accounts.ledger import CallOpening
from apps.accounts.models import ApiKey, CallState, Metric, Period, User
from apps.accounts.quota import Need, Price, Usage, duration
from apps.accounts.selectors import limits_in_force, rate_limit_headers
from tests.accounts.support import limit

PRICE = Price(Decimal(2), Decimal(1), Decimal(4))


def used(
    user: User, usage: Usage, *, model: str = "tiny", key: ApiKey | None = None, at: datetime | None = None
) -> None:
    actor = Actor(user_id=user.pk, api_key_id=key.pk if key else None)
    opening = CallOpening(actor, model, "/v1/chat/completions", PRICE)
    need = Need(usage.prompt_tokens, usage.completion_tokens)
    reserved = ledger.call_reserve(opening, limits_in_force(actor, model), need, now=at)
    settlement.call_settle(reserved.pk, usage, CallState.COMPLETE)


def test_the_page_shows_a_meter_for_each_limit_and_sums_for_each_model(client: Client, alice: User) -> None:
    limit(1000, Metric.TOKENS, user=alice)
    limit(1, Metric.REQUESTS, Period.MONTH, user=alice, model_name="other")
    used(alice, Usage(100, 50, cached_tokens=20))
    used(alice, Usage(7, 3), model="other")
    client.force_login(alice)
    page = client.get("/account/usage")

    text = page.content.decode()
    assert [(m.used, m.amount, m.percent) for m in page.context["meters"]] == [("160", "1,000", 16), ("1", "1", 100)]
    assert "1,000 tokens a day for the user alice" in text
    assert "160 of 1,000 used; resets" in text
    rows = {row.model_name: (row, cost) for row, cost in page.context["models"]}
    assert (rows["tiny"][0].prompt_tokens, rows["tiny"][1]) == (100, "0.00038")
    assert rows["other"][0].requests == 1
    assert page["Cache-Control"] == "no-store"


def test_a_meter_shows_what_running_calls_hold(client: Client, alice: User) -> None:
    row = limit(100, Metric.TOKENS, user=alice)
    opening = CallOpening(Actor(user_id=alice.pk), "tiny", "/v1/chat/completions")
    ledger.call_reserve(opening, [row], Need(10, 20))
    client.force_login(alice)

    assert "0 of 100 used, 30 held by running calls" in client.get("/account/usage").content.decode()


def test_a_limit_of_nothing_is_used_up(client: Client, alice: User) -> None:
    limit(0, Metric.TOKENS, user=alice)
    client.force_login(alice)
    assert [meter.percent for meter in client.get("/account/usage").context["meters"]] == [100]


def test_charlie_sees_nothing_of_alices(client: Client, alice: User, charlie: User) -> None:
    limit(1000, Metric.TOKENS, user=alice)
    used(alice, Usage(100, 50))
    for path in ("/account/usage", "/account/usage.csv", "/account/usage.json"):
        assert client.get(path).status_code == 302
    client.force_login(charlie)
    page = client.get("/account/usage").content.decode()
    assert "No limit is set for you" in page
    assert "Nothing was used" in page


def test_another_month_can_be_looked_at_and_nonsense_is_not_found(client: Client, alice: User) -> None:
    used(alice, Usage(5, 5), at=datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    used(alice, Usage(6, 6), at=datetime(2026, 2, 1, tzinfo=UTC))
    client.force_login(alice)

    [(row, _)] = client.get("/account/usage?month=2026-01").context["models"]
    assert row.prompt_tokens == 5
    for month in ("2026-13", "yes", "2026-1", "1999-01", "٢٠٢٦-01"):
        assert client.get("/account/usage", {"month": month}).status_code == 404


@pytest.mark.django_db(transaction=True)
async def test_the_ledger_is_exported_as_csv_and_as_json(alice: User, bob: User, monkeypatch: Any) -> None:
    from asgiref.sync import sync_to_async
    from django.db import connections

    monkeypatch.setattr(
        "apps.accounts.selectors.ledger_page.__kwdefaults__", {"after_pk": 0, "n_rows": 2}, raising=True
    )

    def prepare() -> None:
        key = ApiKey.objects.create(user=alice, name="=cmd()", prefix="p", digest="d")
        for n in range(5):
            used(alice, Usage(n, 1, cached_tokens=0), key=key)
        used(bob, Usage(99, 99))

    await sync_to_async(prepare)()
    client = AsyncClient()
    await client.aforce_login(alice)

    async def text(path: str) -> str:
        reply = await client.get(path)
        assert reply.status_code == 200
        assert f'filename="usage-{timezone.now():%Y-%m}.' in reply["Content-Disposition"]
        return await body(reply)

    async def body(reply: Any) -> str:
        return b"".join([part async for part in reply.streaming_content]).decode()

    rows = list(csv.DictReader(io.StringIO(await text("/account/usage.csv"))))
    objects = json.loads(await text("/account/usage.json"))
    nothing = await client.get("/account/usage.json?month=2020-01")
    assert await body(nothing) == "[]\n"
    assert [int(row["prompt_tokens"]) for row in rows] == [o["prompt_tokens"] for o in objects] == [0, 1, 2, 3, 4]
    assert {row["key"] for row in rows} == {"'=cmd()"}
    assert {o["key"] for o in objects} == {"=cmd()"}
    assert Decimal(objects[4]["cost"]) == Usage(4, 1).cost(PRICE)
    await sync_to_async(connections.close_all)()


def test_headers_tell_of_the_nearest_limit_on_requests_and_on_tokens(alice: User) -> None:
    actor = Actor(user_id=alice.pk)
    assert rate_limit_headers(actor, limits_in_force(actor, "tiny")) == {}
    limit(100, Metric.TOKENS, Period.MONTH, user=alice)
    limit(1000, Metric.TOKENS, user=alice)
    limit(2, Metric.REQUESTS, Period.MINUTE, user=alice)
    limit(0, Metric.REQUESTS, Period.MINUTE, user=alice, model_name="other")
    used(alice, Usage(10, 20), at=timezone.now().replace(second=0, microsecond=0))
    headers = rate_limit_headers(actor, limits_in_force(actor, "tiny"))

    assert headers["x-ratelimit-limit-tokens"] == "100"
    assert headers["x-ratelimit-remaining-tokens"] == "70"
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert set(headers) == {
        f"x-ratelimit-{a}-{b}" for a in ("limit", "remaining", "reset") for b in ("requests", "tokens")
    }


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (-5, "0s"), (0.2, "1s"), (60, "1m0s"), (360, "6m0s"), (90061, "25h1m1s")]
)
def test_a_duration_is_written_as_openai_writes_it(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words
