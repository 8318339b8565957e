"""The arithmetic of limits: windows of time, what a call may come to use, and whether that still fits.

Pure but for the enumerations, which are those of the rows.
Token counts are whole numbers and costs exact decimals: nothing here rounds.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import assert_never

from apps.accounts.models import Audience, Metric, Period

PER_PRICE = 1_000_000
"""Prices are for so many tokens."""

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""Where the one window of a limit on requests at once begins."""


@dataclass(frozen=True, slots=True)
class Price:
    """For a million tokens of each kind."""

    input: Decimal = Decimal(0)
    cached_input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)


FREE = Price()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used. `cached_tokens` is a part of `prompt_tokens`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    requests: int = 1

    def cost(self, price: Price) -> Decimal:
        fresh = self.prompt_tokens - self.cached_tokens
        total = fresh * price.input + self.cached_tokens * price.cached_input + self.completion_tokens * price.output
        return total / PER_PRICE

    def of(self, metric: Metric, price: Price) -> Decimal:
        """How much a counter of this metric moves. A call that has ended is not running, so it is none at once."""
        match metric:
            case Metric.REQUESTS:
                return Decimal(self.requests)
            case Metric.TOKENS:
                return Decimal(self.prompt_tokens + self.completion_tokens)
            case Metric.COST:
                return self.cost(price)
            case Metric.CONCURRENCY:
                return Decimal(0)
        assert_never(metric)


@dataclass(frozen=True, slots=True)
class Need:
    """What a call may come to use: an exact prompt, and an upper bound for each of `n_choices` answers."""

    prompt_tokens: int
    max_tokens: int
    n_choices: int = 1
    may_shorten: bool = False
    """Nobody asked for `max_tokens`: fewer will do, if a limit leaves fewer."""
    is_exact: bool = True
    """If not, the prompt may have fewer tokens than said: nobody here can count them."""

    def bound(self, max_tokens: int) -> Usage:
        return Usage(self.prompt_tokens, self.n_choices * max_tokens)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One limit as it stands in its present window."""

    label: str
    metric: Metric
    period: Period
    amount: Decimal
    used: Decimal
    reserved: Decimal
    resets_at: datetime | None
    """None for requests at once."""

    @property
    def left(self) -> Decimal:
        return self.amount - self.used - self.reserved


@dataclass(frozen=True, slots=True)
class Rule:
    """What `rules_in_force` looks at. `key` tells apart what is counted: metric, period and model."""

    pk: int
    audience: Audience
    is_shared: bool
    key: tuple[str, str, str]
    amount: Decimal


def window_start(period: Period, now: datetime) -> datetime:
    now = now.astimezone(UTC)
    match period:
        case Period.MINUTE:
            return now.replace(second=0, microsecond=0)
        case Period.DAY:
            return now.replace(hour=0, minute=0, second=0, microsecond=0)
        case Period.MONTH:
            return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        case Period.AT_ONCE:
            return ALWAYS
    assert_never(period)


def window_end(period: Period, now: datetime) -> datetime | None:
    """When the window of `now` ends and the next one begins; None if it never does."""
    start = window_start(period, now)
    match period:
        case Period.MINUTE:
            return start + timedelta(minutes=1)
        case Period.DAY:
            return start + timedelta(days=1)
        case Period.MONTH:
            return (start + timedelta(days=32)).replace(day=1)
        case Period.AT_ONCE:
            return None
    assert_never(period)


def duration(left: timedelta) -> str:
    """Such as `1h2m3s`, at least `0s`. Source: OpenAI API reference, "Rate limits in headers"."""
    seconds = max(0, math.ceil(left.total_seconds()))
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"


def rules_in_force(rules: Iterable[Rule]) -> set[int]:
    """Of the rules that speak of somebody, the keys of those that apply.

    Shared ones and those of an API key always do. Of those that give each person an amount, for the same metric,
    period and model, the most specific does: a user's, else the most generous one of the groups, else everyone's.
    """
    always: set[int] = set()
    own: dict[tuple[str, str, str], Rule] = {}
    for rule in rules:
        if rule.is_shared or rule.audience == Audience.KEY:
            always.add(rule.pk)
        elif rule.key not in own or _precedence(rule) > _precedence(own[rule.key]):
            own[rule.key] = rule
    return always | {rule.pk for rule in own.values()}


def _precedence(rule: Rule) -> tuple[int, Decimal]:
    rank = {Audience.EVERYONE: 0, Audience.VISITORS: 1, Audience.GROUP: 2, Audience.USER: 3}
    return rank[rule.audience], rule.amount
