"""Reserve, then settle: no limit is exceeded, nothing is settled twice, and the ledger says what was used."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import ProgrammingError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts import ledger, settlement
from apps.accounts.actors import Actor
from apps.accounts.counters import counters_ensure
from apps.accounts.errors import LimitExceeded
from apps.accounts.ledger import CallOpening, Reserved, Together
from apps.accounts.models import (
    ApiKey,
    Audience,
    CallState,
    LedgerEntry,
    Metric,
    Period,
    Reservation,
    UsageCounter,
    User,
)
from apps.accounts.quota import Need, Price, Usage
from apps.accounts.selectors import gauges_list, limits_in_force
from apps.accounts.tasks import ledger_tidy_task
from tests.accounts.support import at_once, counter, ledger_of, ledger_sum, limit

PRICE = Price(Decimal(2), Decimal(1), Decimal(4))
NEED = Need(prompt_tokens=10, max_tokens=20)


def reserve(
    actor: Actor, need: Need | None = NEED, *, model: str = "tiny", generation_id: uuid.UUID | None = None
) -> Reserved:
    opening = CallOpening(actor, model, "/v1/chat/completions", PRICE, generation_id)
    return ledger.call_reserve(opening, limits_in_force(actor, model), need)


def let_expire() -> None:
    """As if whoever read them had died long ago."""
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def as_alice(alice: User) -> Actor:
    return Actor(user_id=alice.pk)


# --- One call ---------------------------------------------------------------------------------------------------------


def test_a_call_holds_its_bound_and_is_then_charged_what_it_used(alice: User, as_alice: Actor) -> None:
    tokens, cost = limit(100, Metric.TOKENS, user=alice), limit("0.01", Metric.COST, user=alice)
    requests, at_once = limit(5, Metric.REQUESTS), limit(2, Metric.CONCURRENCY, Period.AT_ONCE)

    reserved = reserve(as_alice)
    held = [counter(row).reserved for row in (tokens, cost, requests, at_once)]
    is_settled = settlement.call_settle(reserved.pk, Usage(10, 5, cached_tokens=4), CallState.COMPLETE)

    assert is_settled
    assert held == [30, Decimal("0.0001"), 1, 1]
    assert [counter(row).reserved for row in (tokens, cost, requests, at_once)] == [0, 0, 0, 0]
    assert [counter(row).used for row in (tokens, cost, requests, at_once)] == [15, Decimal("0.000036"), 1, 0]
    entry = LedgerEntry.objects.get()
    assert (entry.user_id, entry.model_name, entry.cost) == (alice.pk, "tiny", Decimal("0.000036"))
    assert (entry.prompt_tokens, entry.cached_tokens, entry.completion_tokens) == (10, 4, 5)
    assert not Reservation.objects.exists()


def test_a_call_is_settled_once(as_alice: Actor) -> None:
    total = limit(100, Metric.TOKENS)
    reserved = reserve(as_alice)

    assert settlement.call_settle(reserved.pk, Usage(10, 5), CallState.COMPLETE)
    assert not settlement.call_settle(reserved.pk, Usage(10, 20), CallState.FAILED)
    assert [counter(total).used, LedgerEntry.objects.count()] == [15, 1]


def test_without_limits_a_call_still_enters_the_ledger(alice: User, as_alice: Actor) -> None:
    reserved = reserve(as_alice, None)
    settlement.call_settle(reserved.pk, Usage(3, 4), CallState.COMPLETE)

    assert reserved.max_tokens is None
    assert ledger_of(alice) == [("complete", 3, 4, False)]


def test_a_refused_call_holds_nothing_of_any_limit(alice: User, as_alice: Actor) -> None:
    wide, narrow = limit(100, Metric.TOKENS), limit(29, Metric.TOKENS, user=alice)

    with pytest.raises(LimitExceeded, match=f"29 tokens a day for the user {alice}"):
        reserve(as_alice)
    assert [counter(wide).reserved, counter(narrow).reserved, Reservation.objects.count()] == [0, 0, 0]


def test_each_window_begins_empty(as_alice: Actor) -> None:
    row = limit(30, Metric.TOKENS, Period.MINUTE)
    opening = CallOpening(as_alice, "tiny", "/v1/chat/completions", PRICE)
    first = datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)

    ledger.call_reserve(opening, [row], NEED, now=first)
    with pytest.raises(LimitExceeded, match="resets at 2026-06-01 00:00"):
        ledger.call_reserve(opening, [row], NEED, now=first)
    assert ledger.call_reserve(opening, [row], NEED, now=first + timedelta(seconds=1)).max_tokens == 20


def test_requests_at_once_are_counted_until_they_end(as_alice: Actor) -> None:
    limit(1, Metric.CONCURRENCY, Period.AT_ONCE)
    running = reserve(as_alice, None)

    with pytest.raises(LimitExceeded, match="1 requests at once"):
        reserve(as_alice, None)
    settlement.call_settle(running.pk, Usage(), CallState.STOPPED)
    assert reserve(as_alice, None)


def test_the_ledger_can_not_be_changed(as_alice: Actor) -> None:
    settlement.call_settle(reserve(as_alice, None).pk, Usage(1, 1), CallState.COMPLETE)

    for change in (LedgerEntry.objects.all().delete, lambda: LedgerEntry.objects.update(cost=0)):
        with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
            change()


def test_the_ledger_outlives_who_is_named_in_it(alice: User, as_alice: Actor) -> None:
    key = ApiKey.objects.create(user=alice, name="k", prefix="p", digest="d")
    reserved = reserve(Actor(user_id=alice.pk, api_key_id=key.pk), None)
    alice.delete()
    settlement.call_settle(reserved.pk, Usage(1, 2), CallState.COMPLETE)

    entry = LedgerEntry.objects.select_related("user", "api_key").get()
    assert (entry.completion_tokens, entry.user_id, entry.user) == (2, as_alice.user_id, None)


# --- Whom a limit is for ----------------------------------------------------------------------------------------------


def test_a_limit_of_alice_says_nothing_to_bob_and_charlie(alice: User, bob: User, charlie: User) -> None:
    team = Group.objects.create(name="team")
    bob.groups.add(team)
    limit(0, Metric.REQUESTS, user=alice)
    limit(0, Metric.REQUESTS, group=team)

    for user in (alice, bob):
        with pytest.raises(LimitExceeded):
            reserve(Actor(user_id=user.pk))
    assert reserve(Actor(user_id=charlie.pk))
    assert reserve(Actor(visitor_public_id=uuid.uuid4()))


def test_a_shared_amount_is_used_up_together_and_an_own_one_alone(alice: User, bob: User) -> None:
    team = Group.objects.create(name="team")
    for user in (alice, bob):
        user.groups.add(team)
    limit(30, Metric.TOKENS, group=team, model_name="own")
    limit(30, Metric.TOKENS, group=team, model_name="shared", is_shared=True)

    assert reserve(Actor(user_id=alice.pk), model="own")
    assert reserve(Actor(user_id=bob.pk), model="own")
    assert reserve(Actor(user_id=alice.pk), model="shared")
    with pytest.raises(LimitExceeded, match="the group team"):
        reserve(Actor(user_id=bob.pk), model="shared")


def test_all_keys_of_a_user_and_the_browser_count_together_and_a_key_may_have_less(alice: User) -> None:
    keys = [ApiKey.objects.create(user=alice, name=name, prefix=name, digest=name) for name in "ab"]
    limit(3, Metric.REQUESTS, user=alice)
    limit(1, Metric.REQUESTS, api_key=keys[0])
    first, second = (Actor(user_id=alice.pk, api_key_id=key.pk) for key in keys)

    reserve(first)
    with pytest.raises(LimitExceeded, match="the key a"):
        reserve(first)
    reserve(second)
    reserve(Actor(user_id=alice.pk))
    with pytest.raises(LimitExceeded, match="the user alice"):
        reserve(second)


def test_a_visitor_has_an_amount_of_their_own(db: None) -> None:
    limit(1, Metric.REQUESTS, audience=Audience.VISITORS, is_shared=False)
    first, second = (Actor(visitor_public_id=uuid.uuid4()) for _ in range(2))

    reserve(first)
    with pytest.raises(LimitExceeded, match="each visitor"):
        reserve(first)
    reserve(second)


def test_another_model_has_an_amount_of_its_own(as_alice: Actor) -> None:
    limit(1, Metric.REQUESTS, model_name="tiny")
    reserve(as_alice)

    with pytest.raises(LimitExceeded, match="of tiny"):
        reserve(as_alice)
    assert reserve(as_alice, model="other")


def test_a_limit_of_nonsense_is_refused_with_what_to_do(alice: User) -> None:
    for wrong, advice in [
        ({"amount": 1, "metric": Metric.TOKENS, "period": Period.AT_ONCE}, "goes with the period"),
        ({"amount": "1.5", "metric": Metric.TOKENS}, "whole number"),
        ({"amount": -1, "metric": Metric.TOKENS}, "greater than or equal to 0"),
        ({"amount": 1, "metric": Metric.TOKENS, "user": alice, "is_shared": True}, "can share"),
        ({"amount": 1, "metric": Metric.TOKENS, "user": alice, "audience": Audience.GROUP}, "Choose the group"),
    ]:
        with pytest.raises(ValidationError, match=advice):
            limit(**wrong)  # type: ignore[arg-type]


def test_a_meter_costs_few_queries_however_many_limits_there_are(
    alice: User, as_alice: Actor, django_assert_max_num_queries: object
) -> None:
    for period in (Period.MINUTE, Period.DAY, Period.MONTH):
        for metric in (Metric.REQUESTS, Metric.TOKENS, Metric.COST):
            limit(100, metric, period, user=alice)
    reserve(as_alice)

    with django_assert_max_num_queries(2):  # type: ignore[operator]
        gauges = gauges_list(as_alice)
    assert sorted(gauge.reserved for gauge in gauges if gauge.metric is Metric.TOKENS) == [30, 30, 30]


def test_a_call_costs_few_queries_however_many_limits_there_are(
    alice: User, as_alice: Actor, django_assert_max_num_queries: Any
) -> None:
    team = Group.objects.create(name="team")
    alice.groups.add(team)
    for period in (Period.MINUTE, Period.DAY, Period.MONTH):
        for metric in (Metric.REQUESTS, Metric.TOKENS, Metric.COST):
            limit(1000, metric, period, user=alice)
            limit(1000, metric, period, group=team, is_shared=True)
    limits = limits_in_force(as_alice, "tiny")
    opening = CallOpening(as_alice, "tiny", "/v1/chat/completions", PRICE)
    ledger.call_reserve(opening, limits, NEED)

    assert len(limits) == 18
    with django_assert_max_num_queries(7):
        reserved = ledger.call_reserve(opening, limits, NEED)
    with django_assert_max_num_queries(10):
        settlement.call_settle(reserved.pk, Usage(10, 5), CallState.COMPLETE)
    counts = UsageCounter.objects.filter(limit__metric=Metric.TOKENS)
    assert {(int(count.used), int(count.reserved)) for count in counts} == {(15, 30)}


# --- Calls that are lost, and calls that are taken over ---------------------------------------------------------------


def test_a_lost_call_is_charged_all_that_it_might_have_used(alice: User, as_alice: Actor) -> None:
    row, at_once = limit(100, Metric.TOKENS), limit(1, Metric.CONCURRENCY, Period.AT_ONCE)
    reserve(as_alice)
    assert ledger.reservations_expire() == 0

    let_expire()
    assert ledger.reservations_expire() == 1
    assert [counter(row).used, counter(row).reserved, counter(at_once).reserved] == [30, 0, 0]
    assert ledger_of(alice) == [("lost", 10, 20, True)]


def test_lost_calls_do_not_stand_in_the_way_of_new_ones(as_alice: Actor) -> None:
    limit(1, Metric.CONCURRENCY, Period.AT_ONCE)
    reserve(as_alice, None)
    let_expire()

    assert reserve(as_alice, None)


def test_a_call_that_is_renewed_does_not_get_lost(as_alice: Actor) -> None:
    plain, generation = reserve(as_alice, None), reserve(as_alice, None, generation_id=uuid.uuid4())
    let_expire()
    ledger.reservations_renew([plain.pk, generation.pk])

    assert ledger.reservations_expire() == 0
    left = {row.pk: row.expires_at - timezone.now() for row in Reservation.objects.all()}
    assert left[plain.pk] < timedelta(seconds=ledger.CALL_LEASE_S + 1) < left[generation.pk]


def test_the_minutely_task_settles_lost_calls_and_drops_counters_of_long_ago(as_alice: Actor) -> None:
    minute, day = limit(100, Metric.TOKENS, Period.MINUTE), limit(100, Metric.TOKENS)
    opening = CallOpening(as_alice, "tiny", "/v1/chat/completions", PRICE)
    held = ledger.call_reserve(opening, [minute, day], NEED, now=timezone.now() - timedelta(hours=2))
    assert ledger_tidy_task() == 0
    assert UsageCounter.objects.filter(limit=minute).exists()

    let_expire()
    assert ledger_tidy_task() == 1
    assert not Reservation.objects.filter(pk=held.pk).exists()
    ledger_tidy_task()
    assert [c.limit_id for c in UsageCounter.objects.all()] == [day.pk]
    assert counter(day).used == 30


def test_counters_of_requests_at_once_are_dropped_when_nothing_runs(alice: User, bob: User) -> None:
    row = limit(2, Metric.CONCURRENCY, Period.AT_ONCE, is_shared=False)
    running, ended = (reserve(Actor(user_id=user.pk), None) for user in (alice, bob))
    settlement.call_settle(ended.pk, Usage(), CallState.COMPLETE)

    ledger_tidy_task()
    [left] = UsageCounter.objects.all()
    assert (left.limit_id, left.subject, int(left.reserved)) == (row.pk, f"user:{alice.pk}", 1)
    settlement.call_settle(running.pk, Usage(), CallState.COMPLETE)
    ledger_tidy_task()
    assert not UsageCounter.objects.exists()


def test_a_counter_that_vanishes_before_a_call_holds_it_is_made_again(
    as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, gone = limit(1, Metric.CONCURRENCY, Period.AT_ONCE), limit(5, Metric.REQUESTS)
    limits = limits_in_force(as_alice, "tiny")
    vanishings = iter([UsageCounter.objects.all().delete, gone.delete])

    def ensured(*args: Any) -> list[int]:
        pks = counters_ensure(*args)
        next(vanishings, lambda: None)()
        return pks

    monkeypatch.setattr(ledger, "counters_ensure", ensured)
    ledger.call_reserve(CallOpening(as_alice, "tiny", "/v1/chat/completions", PRICE), limits, None)
    assert [(c.limit_id, int(c.reserved)) for c in UsageCounter.objects.all()] == [(row.pk, 1)]
    with pytest.raises(LimitExceeded):
        reserve(as_alice, None)


def test_an_answer_that_is_asked_for_again_keeps_its_reservation(as_alice: Actor) -> None:
    limit(1, Metric.REQUESTS)
    generation_id = uuid.uuid4()

    first = reserve(as_alice, generation_id=generation_id)
    assert reserve(as_alice, generation_id=generation_id) == first
    assert ledger.generation_adopt(generation_id) == first.pk
    ledger.generation_lose(generation_id)
    assert ledger.generation_adopt(generation_id) is None
    assert ledger_sum() == Usage(10, 20)


# --- Many at once -----------------------------------------------------------------------------------------------------


def test_a_thousand_calls_at_once_never_exceed_a_limit_by_a_token(
    transactional_db: None, alice: User, bob: User
) -> None:
    rows = [
        limit(4_999, Metric.TOKENS),
        limit(3_001, Metric.TOKENS, user=alice),
        limit("0.0101", Metric.COST, user=bob),
        limit(300, Metric.REQUESTS, Period.MONTH),
        limit(20, Metric.CONCURRENCY, Period.AT_ONCE),
    ]
    limits = {user.pk: limits_in_force(Actor(user_id=user.pk), "tiny") for user in (alice, bob)}
    now = timezone.now()

    def call(number: int) -> Usage | None:
        random = Random(number)
        user = random.choice([alice, bob])
        need = Need(random.randint(1, 20), random.randint(1, 30), may_shorten=random.random() < 0.3)
        opening = CallOpening(Actor(user_id=user.pk), "tiny", "/v1/chat/completions", PRICE)
        try:
            reserved = ledger.call_reserve(opening, limits[user.pk], need, now=now)
        except LimitExceeded:
            return None
        assert reserved.max_tokens is not None
        used = Usage(need.prompt_tokens, random.randint(0, reserved.max_tokens))
        assert settlement.call_settle(reserved.pk, used, CallState.COMPLETE)
        return used

    used = [usage for usage in at_once(call, range(1000)) if usage is not None]

    assert 0 < len(used) < 1000
    for row in rows:
        count = counter(row)
        assert count.used <= row.amount
        assert count.reserved == 0
    assert ledger_sum() == Usage(
        sum(usage.prompt_tokens for usage in used), sum(usage.completion_tokens for usage in used), 0, len(used)
    )
    for row, user in ((rows[1], alice), (rows[2], bob)):
        entries = LedgerEntry.objects.filter(user=user)
        of_user = ledger_sum(user=user)
        total = sum((e.cost for e in entries), Decimal(0)) if row.metric == Metric.COST else None
        assert counter(row).used == (of_user.prompt_tokens + of_user.completion_tokens if total is None else total)


def test_one_answer_reserved_and_settled_by_many_at_once_is_one_row(transactional_db: None, alice: User) -> None:
    limit(1, Metric.REQUESTS, user=alice)
    generation_id = uuid.uuid4()

    def read(_: int) -> bool:
        try:
            reserved = reserve(Actor(user_id=alice.pk), generation_id=generation_id)
        except LimitExceeded:
            return False  # it was settled before this one came
        return settlement.call_settle(reserved.pk, Usage(10, 7), CallState.COMPLETE)

    assert sum(at_once(read, range(64))) == 1
    assert ledger_of(alice) == [("complete", 10, 7, False)]


# --- Any order --------------------------------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 1), st.integers(0, 30), st.integers(0, 30)),
        st.tuples(st.just("settle"), st.integers(0, 5), st.integers(0, 100), st.integers(0, 100)),
        st.tuples(st.just("expire"), st.integers(0, 5), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, amount=st.integers(0, 120))
def test_in_any_order_counters_hold_what_runs_and_have_used_what_the_ledger_says(
    alice: User, bob: User, steps: list[tuple[str, int, int, int]], amount: int
) -> None:
    with transaction.atomic():
        row = limit(amount, Metric.TOKENS)
        running: list[tuple[int, Need, int]] = []
        for verb, which, first, second in steps:
            if verb == "reserve":
                need = Need(first, second)
                try:
                    reserved = reserve(Actor(user_id=(alice, bob)[which].pk), need)
                except LimitExceeded:
                    continue
                running.append((reserved.pk, need, first + second))
            elif running:
                pk, need, _ = running.pop(which % len(running))
                if verb == "settle":
                    used = Usage(min(first, need.prompt_tokens), min(second, need.max_tokens))
                    settlement.call_settle(pk, used, CallState.COMPLETE)
                else:
                    Reservation.objects.filter(pk=pk).update(expires_at=timezone.now() - timedelta(seconds=1))
                    assert ledger.reservations_expire() == 1
            count = counter(row)
            total = ledger_sum()
            assert count.used == total.prompt_tokens + total.completion_tokens
            assert count.reserved == sum(held for *_, held in running)
            assert count.used + count.reserved <= row.amount
        transaction.set_rollback(True)


# --- Calls that are reserved together ---------------------------------------------------------------------------------


def reserve_two(actor: Actor, need: Need | None = NEED) -> list[Reservation]:
    calls = [
        Together(CallOpening(actor, model, "/v1/battles", PRICE, uuid.uuid4()), limits_in_force(actor, model), need)
        for model in ("ant", "bee")
    ]
    assert ledger.calls_reserve_together(calls)
    return list(Reservation.objects.order_by("pk"))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_calls_no_counter_moves_before_both_have_ended(as_alice: Actor, order: tuple[int, int]) -> None:
    tokens, cost, requests = limit(100, Metric.TOKENS), limit("0.01", Metric.COST), limit(5, Metric.REQUESTS)
    rows = reserve_two(as_alice)
    held = [counter(row).reserved for row in (tokens, cost, requests)]
    first, last = (rows[position].pk for position in order)

    assert settlement.call_settle(first, Usage(10, 5, cached_tokens=4), CallState.COMPLETE)
    assert not settlement.call_settle(first, Usage(10, 9), CallState.COMPLETE)
    assert [counter(row).reserved for row in (tokens, cost, requests)] == held == [60, Decimal("0.0002"), 2]
    assert [counter(row).used for row in (tokens, cost, requests)] == [0, 0, 0]
    assert not LedgerEntry.objects.exists()

    assert settlement.call_settle(last, Usage(10, 20), CallState.STOPPED, is_estimated=True)
    assert [counter(row).reserved for row in (tokens, cost, requests)] == [0, 0, 0]
    assert [counter(row).used for row in (tokens, cost, requests)] == [45, Decimal("0.000136"), 2]
    assert ledger_sum() == Usage(20, 25, 4, 2)
    assert set(LedgerEntry.objects.values_list("state", "is_estimated")) == {("complete", False), ("stopped", True)}
    assert not Reservation.objects.exists()


def test_the_end_of_one_call_is_kept_until_the_other_is_found_lost(as_alice: Actor) -> None:
    tokens = limit(100, Metric.TOKENS)
    ended, _ = reserve_two(as_alice)
    settlement.call_settle(ended.pk, Usage(10, 5), CallState.COMPLETE)
    let_expire()

    assert ledger.reservations_expire() == 1
    assert [counter(tokens).used, counter(tokens).reserved] == [45, 0]
    assert set(LedgerEntry.objects.values_list("state", "completion_tokens")) == {("complete", 5), ("lost", 20)}


def test_where_one_of_two_calls_was_reserved_before_each_goes_its_own_way(as_alice: Actor) -> None:
    limit(100, Metric.TOKENS)
    first, second = uuid.uuid4(), uuid.uuid4()
    reserve(as_alice, generation_id=first)
    calls = [
        Together(CallOpening(as_alice, "tiny", "/v1/battles", PRICE, pk), limits_in_force(as_alice, "tiny"), NEED)
        for pk in (second, first)
    ]

    assert not ledger.calls_reserve_together(calls)
    assert Reservation.objects.get().generation_id == first


def test_a_place_that_a_lost_call_holds_is_given_to_two(as_alice: Actor) -> None:
    limit(60, Metric.TOKENS)
    reserve(as_alice)
    let_expire()
    Reservation.objects.update(max_completion_tokens=0, prompt_tokens=0)

    assert len(reserve_two(as_alice)) == 2


@pytest.mark.django_db(transaction=True)
def test_two_calls_that_end_at_once_are_settled_once(as_alice: Actor) -> None:
    tokens = limit(10_000, Metric.TOKENS)
    rows = [row for _ in range(8) for row in reserve_two(as_alice)]

    results = at_once(lambda row: settlement.call_settle(row.pk, Usage(10, 7), CallState.COMPLETE), set(rows))
    assert all(results)
    assert [counter(tokens).used, counter(tokens).reserved] == [16 * 17, 0]
    assert LedgerEntry.objects.count() == 16
