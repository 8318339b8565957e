"""The arithmetic of limits: windows, which rules apply, what fits and what is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.errors import LimitExceeded, LimitTooSmall
from apps.accounts.grants import Asked, grant, grant_together, reserved_amount
from apps.accounts.models import Audience, Metric, Period
from apps.accounts.quota import (
    FREE,
    Gauge,
    Need,
    Price,
    Rule,
    Usage,
    rules_in_force,
    window_end,
    window_start,
)

NOON = datetime(2026, 2, 28, 12, 34, 56, 789, tzinfo=UTC)


def gauge(metric: Metric, amount: str, *, used: str = "0", reserved: str = "0", period: Period = Period.DAY) -> Gauge:
    numbers = (Decimal(amount), Decimal(used), Decimal(reserved))
    return Gauge("the limit", metric, period, *numbers, window_end(period, NOON))


def test_windows_are_those_of_the_clock_and_the_calendar_in_utc() -> None:
    ends = {period: window_end(period, NOON) for period in Period}

    assert window_start(Period.MINUTE, NOON) == datetime(2026, 2, 28, 12, 34, tzinfo=UTC)
    assert window_start(Period.DAY, NOON) == datetime(2026, 2, 28, tzinfo=UTC)
    assert window_start(Period.MONTH, NOON) == datetime(2026, 2, 1, tzinfo=UTC)
    assert ends == {
        Period.MINUTE: datetime(2026, 2, 28, 12, 35, tzinfo=UTC),
        Period.DAY: datetime(2026, 3, 1, tzinfo=UTC),
        Period.MONTH: datetime(2026, 3, 1, tzinfo=UTC),
        Period.AT_ONCE: None,
    }


@given(st.datetimes(timezones=st.just(UTC), max_value=datetime(2200, 1, 1)), st.sampled_from(Period))
def test_every_moment_is_in_one_window_and_windows_meet(now: datetime, period: Period) -> None:
    start, end = window_start(period, now), window_end(period, now)

    assert start <= now or period is Period.AT_ONCE
    if end is not None:
        assert now < end
        assert window_start(period, end) == end
        assert window_start(period, end - timedelta(microseconds=1)) == start


def test_the_most_specific_amount_applies_and_shared_ones_always_do() -> None:
    key = ("tokens", "day", "")

    def rule(pk: int, audience: Audience, amount: int, *, is_shared: bool = False, model: str = "") -> Rule:
        return Rule(pk, audience, is_shared, (*key[:2], model), Decimal(amount))

    everyone, poor, rich = (
        rule(1, Audience.EVERYONE, 10),
        rule(2, Audience.GROUP, 5),
        rule(3, Audience.GROUP, 50),
    )
    shared = [rule(4, Audience.EVERYONE, 1000, is_shared=True), rule(5, Audience.GROUP, 100, is_shared=True)]
    of_key, of_model = rule(6, Audience.KEY, 1), rule(7, Audience.EVERYONE, 3, model="tiny")

    assert rules_in_force([everyone]) == {1}
    assert rules_in_force([everyone, poor, rich]) == {3}
    assert rules_in_force([poor, rule(8, Audience.USER, 1), rich, everyone]) == {8}
    assert rules_in_force([everyone, *shared, of_key, of_model]) == {1, 4, 5, 6, 7}


def test_cost_is_exact_and_cached_tokens_have_their_own_price() -> None:
    price = Price(Decimal("0.15"), Decimal("0.075"), Decimal("0.60"))

    assert Usage(prompt_tokens=3, completion_tokens=1, cached_tokens=2).cost(price) == Decimal("0.0000009")
    assert sum((Usage(1).cost(price) for _ in range(1000)), Decimal(0)) == Decimal("0.00015")


def test_what_is_reserved_is_never_less_than_what_may_be_used_even_if_cached_tokens_are_dearer() -> None:
    price = Price(Decimal(1), Decimal(5), Decimal(2))
    assert reserved_amount(Metric.COST, Usage(10, 10), price) >= Usage(10, 10, cached_tokens=10).cost(price)


def test_an_answer_without_a_wish_gets_what_the_limits_leave() -> None:
    tokens = gauge(Metric.TOKENS, "100", used="30", reserved="20")
    cost = gauge(Metric.COST, "0.000040")
    price = Price(Decimal(1), Decimal(1), Decimal(2))

    assert grant([], Need(10, 500, may_shorten=True), FREE, NOON) == 500
    assert grant([tokens], Need(10, 500, may_shorten=True), FREE, NOON) == 40
    assert grant([tokens], Need(10, 500, n_choices=3, may_shorten=True), FREE, NOON) == 13
    assert grant([tokens, cost], Need(10, 500, may_shorten=True), price, NOON) == 15
    assert grant([gauge(Metric.REQUESTS, "1")], None, FREE, NOON) is None


def test_a_wish_is_kept_whole_or_refused() -> None:
    tokens = gauge(Metric.TOKENS, "100", used="30", reserved="20")

    assert grant([tokens], Need(10, 40), FREE, NOON) == 40
    with pytest.raises(LimitExceeded):
        grant([tokens], Need(10, 41), FREE, NOON)
    with pytest.raises(LimitExceeded):
        grant([tokens], Need(50, 10, may_shorten=True), FREE, NOON)


@pytest.mark.parametrize(
    ("blocking", "words", "retry_after_s"),
    [
        (gauge(Metric.TOKENS, "100", used="95"), "95 used, 0 held .* asks for 10.* resets at 2026-03-01 00:00", 41104),
        (gauge(Metric.TOKENS, "100", reserved="95"), "Running calls hold the rest: try again in 2 s", 2),
        (gauge(Metric.TOKENS, "9"), "asks for 10. This call alone is more than the whole limit: ask for less", None),
        (gauge(Metric.REQUESTS, "0"), "An amount of 0 forbids: ask an administrator", None),
        (gauge(Metric.CONCURRENCY, "2", reserved="2", period=Period.AT_ONCE), "Running calls hold the rest", 2),
        (gauge(Metric.REQUESTS, "5", used="5", period=Period.MINUTE), "resets at 2026-02-28 12:35 UTC", 4),
    ],
)
def test_a_refusal_says_which_limit_and_when_to_come_back(
    blocking: Gauge, words: str, retry_after_s: int | None
) -> None:
    with pytest.raises(LimitExceeded, match=words) as refusal:
        grant([gauge(Metric.TOKENS, "1000"), blocking], Need(4, 6), FREE, NOON)

    assert refusal.value.retry_after_s == retry_after_s
    assert refusal.value.retryable == (retry_after_s is not None)
    assert refusal.value.gauge is blocking


def test_of_several_limits_the_one_that_blocks_for_longest_is_named() -> None:
    minute = gauge(Metric.REQUESTS, "1", used="1", period=Period.MINUTE)
    month = gauge(Metric.TOKENS, "1", used="1", period=Period.MONTH)
    at_once = gauge(Metric.CONCURRENCY, "0", period=Period.AT_ONCE)

    with pytest.raises(LimitExceeded) as refusal:
        grant([minute, month, at_once], Need(1, 1), FREE, NOON)
    assert refusal.value.gauge is month


def test_a_limit_that_is_too_small_is_named_before_one_that_is_used_up_for_longer() -> None:
    small = gauge(Metric.TOKENS, "9", period=Period.MINUTE)
    month = gauge(Metric.TOKENS, "100", used="95", period=Period.MONTH)

    with pytest.raises(LimitTooSmall) as refusal:
        grant([month, small], Need(4, 6), FREE, NOON)
    assert refusal.value.gauge is small


amounts = st.decimals(min_value=0, max_value=10**9, places=6)


@given(
    st.lists(
        st.builds(
            lambda metric, amount, used, reserved: gauge(metric, str(amount), used=str(used), reserved=str(reserved)),
            st.sampled_from([Metric.REQUESTS, Metric.TOKENS, Metric.COST]),
            amounts,
            amounts,
            amounts,
        ),
        max_size=4,
    ),
    st.builds(
        Need,
        prompt_tokens=st.integers(0, 10**6),
        max_tokens=st.integers(0, 10**6),
        n_choices=st.integers(1, 128),
        may_shorten=st.booleans(),
    ),
    st.builds(Price, *[st.decimals(0, 10**5, places=6)] * 3),
)
def test_what_is_granted_fits_every_limit_and_is_the_most_that_does(
    gauges: list[Gauge], need: Need, price: Price
) -> None:
    def fits(max_tokens: int) -> bool:
        return all(reserved_amount(g.metric, need.bound(max_tokens), price) <= g.left for g in gauges)

    try:
        granted = grant(gauges, need, price, NOON)
    except LimitExceeded:
        assert not fits(min(1, need.max_tokens) if need.may_shorten else need.max_tokens)
    else:
        assert granted is not None
        assert fits(granted)
        assert granted == need.max_tokens or (need.may_shorten and not fits(granted + 1))


# --- Calls that begin together ----------------------------------------------------------------------------------------


def two(need: Need | None, *shared: Gauge, other: Need | None = None, price: Price = FREE) -> list[Asked]:
    gauges = dict(enumerate(shared))
    return [Asked(gauges, need, price), Asked(gauges, other or need, price)]


def test_what_is_left_is_shared_alike_by_answers_that_begin_together() -> None:
    need = Need(10, 500, may_shorten=True)
    tokens = gauge(Metric.TOKENS, "100", used="20")
    assert grant_together(two(need, tokens), NOON) == [30, 30]
    assert grant_together(two(need, gauge(Metric.TOKENS, "10000")), NOON) == [500, 500]
    assert grant_together(two(need, tokens, other=Need(30, 25, may_shorten=True)), NOON) == [20, 20]
    assert grant_together(two(need, tokens, other=Need(10, 5, may_shorten=True)), NOON) == [55, 5]
    assert grant_together(two(None, gauge(Metric.REQUESTS, "2")), NOON) == [None, None]


def test_a_limit_for_one_model_alone_does_not_make_one_answer_shorter_than_the_other() -> None:
    need = Need(10, 500, may_shorten=True)
    calls = [Asked({1: gauge(Metric.TOKENS, "50")}, need, FREE), Asked({}, need, FREE)]
    assert grant_together(calls, NOON) == [40, 40]


@pytest.mark.parametrize(
    ("calls", "asked"),
    [
        (two(None, gauge(Metric.REQUESTS, "5", used="4")), 2),
        (two(Need(10, 500, may_shorten=True), gauge(Metric.TOKENS, "80", used="60")), 22),
        (two(Need(10, 30), gauge(Metric.TOKENS, "100", used="30")), 80),
        (two(Need(10, 30), gauge(Metric.TOKENS, "100", used="30"), other=Need(10, 90, may_shorten=True)), 80),
    ],
    ids=["a request is left", "no token is left", "nothing may be shortened", "one would be shorter than the other"],
)
def test_where_one_of_two_fits_neither_begins(calls: list[Asked], asked: int) -> None:
    with pytest.raises(LimitExceeded) as refused:
        grant_together(calls, NOON)
    assert f"asks for {asked}" in refused.value.message or str(asked) in refused.value.message


def test_two_that_never_fit_together_are_told_so() -> None:
    with pytest.raises(LimitTooSmall):
        grant_together(two(None, gauge(Metric.REQUESTS, "1")), NOON)


@given(st.integers(0, 300), st.integers(0, 60), st.integers(0, 60), st.integers(1, 80), st.integers(1, 80))
def test_together_the_longest_that_fits_is_found(amount: int, one: int, other: int, most: int, others: int) -> None:
    needs = Need(one, most, may_shorten=True), Need(other, others, may_shorten=True)
    calls = two(needs[0], gauge(Metric.TOKENS, str(amount)), other=needs[1])
    fitting = [n for n in range(1, max(most, others) + 1) if one + other + min(n, most) + min(n, others) <= amount]
    if not fitting:
        with pytest.raises(LimitExceeded):
            grant_together(calls, NOON)
    else:
        assert grant_together(calls, NOON) == [min(fitting[-1], most), min(fitting[-1], others)]
