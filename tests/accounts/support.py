"""What tests of limits and of the ledger share."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Sum

from apps.accounts.models import Audience, LedgerEntry, Limit, Metric, Period, UsageCounter, User
from apps.accounts.quota import Usage

A = TypeVar("A")
B = TypeVar("B")


def at_once(function: Callable[[A], B], items: Iterable[A], *, n_threads: int = 32) -> list[B]:
    """Call it for every item, on so many connections to Postgres at once."""
    todo = list(items)

    def run(first: int) -> list[B]:
        try:
            return [function(item) for item in islice(todo, first, None, n_threads)]
        finally:
            connection.close()

    with ThreadPoolExecutor(n_threads) as pool:
        return [result for results in pool.map(run, range(n_threads)) for result in results]


def limit(amount: Decimal | int | str, metric: Metric, period: Period = Period.DAY, **who: Any) -> Limit:
    """A limit for a user, a group or a key; shared by everyone if nobody is named."""
    named = {"user": Audience.USER, "group": Audience.GROUP, "api_key": Audience.KEY}
    audience = next((named[name] for name in who if name in named), Audience.EVERYONE)
    defaults = {"audience": audience, "is_shared": audience is Audience.EVERYONE}
    row = Limit(amount=Decimal(amount), metric=metric, period=period, **(defaults | who))
    row.full_clean()
    row.save()
    return row


def counter(of: Limit) -> UsageCounter:
    """The only one of this limit."""
    return UsageCounter.objects.filter(limit=of).first() or UsageCounter(limit=of)


def ledger_sum(**of: Any) -> Usage:
    """What the ledger says was used, all together."""
    fields = ("prompt_tokens", "completion_tokens", "cached_tokens", "requests")
    sums = LedgerEntry.objects.filter(**of).aggregate(**{field: Sum(field, default=0) for field in fields})
    return Usage(**sums)


def ledger_of(user: User) -> list[tuple[str, int, int, bool]]:
    rows = LedgerEntry.objects.filter(user=user).order_by("pk")
    return [(row.state, row.prompt_tokens, row.completion_tokens, row.is_estimated) for row in rows]
