"""Whether a call may begin under its limits, and how long its answer may become; also of calls that begin together.

Pure, as `quota`, whose words these are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from apps.accounts.errors import LimitExceeded, LimitTooSmall
from apps.accounts.models import Metric
from apps.accounts.quota import Gauge, Need, Price, Usage

BUSY_RETRY_S = 2
"""When to try again if only running calls are in the way: nobody knows when they end."""


def grant(gauges: Sequence[Gauge], need: Need | None, price: Price, now: datetime) -> int | None:
    """How many tokens each choice may have, or None if no limit asks for tokens.

    Raises: LimitExceeded, for the limit that stands in the way for longest; LimitTooSmall, if that is for ever.
    """
    if need is None:
        _refuse(_blocking(gauges, None, price), now)
        return None
    granted = need.max_tokens
    if need.may_shorten:
        granted = min([granted, *(_longest(gauge, need, price) for gauge in gauges)])
    # An answer of no tokens is none; a prompt may be all there is, as for vectors.
    least = Need(need.prompt_tokens, max(granted, min(1, need.max_tokens)), need.n_choices)
    asked = least.bound(least.max_tokens)
    _refuse(_blocking(gauges, asked, price), now)
    return least.max_tokens


@dataclass(frozen=True, slots=True)
class Asked:
    """One of several calls that are let in together: its limits by the keys of their counters, its need, its price."""

    gauges: Mapping[int, Gauge]
    need: Need | None
    price: Price

    def amount(self, key: int, longest: int) -> Decimal:
        """What it would hold of a counter with answers of at most `longest` tokens."""
        if key not in self.gauges:
            return Decimal(0)
        bound = None if self.need is None else self.need.bound(self.max_tokens(longest) or 0)
        return _amount(self.gauges[key], bound, self.price)

    def max_tokens(self, longest: int) -> int | None:
        if self.need is None:
            return None
        return min(longest, self.need.max_tokens) if self.need.may_shorten else self.need.max_tokens


def grant_together(calls: Sequence[Asked], now: datetime) -> list[int | None]:
    """As `grant`, for calls of which all are let in or none; answers that are shortened are shortened alike.

    Raises: LimitExceeded, LimitTooSmall.
    """
    gauges = {key: gauge for call in calls for key, gauge in call.gauges.items()}
    needs = [call.need for call in calls if call.need is not None]
    most = max((need.max_tokens for need in needs), default=0)
    # Next to an answer that nobody may shorten, another one is not made shorter than that.
    fixed = [need.max_tokens for need in needs if not need.may_shorten]
    least = max([*fixed, min(1, most)])

    def missing(longest: int) -> list[tuple[Gauge, Decimal]]:
        asked = {key: sum((call.amount(key, longest) for call in calls), Decimal(0)) for key in gauges}
        return [(gauge, asked[key]) for key, gauge in gauges.items() if asked[key] > gauge.left]

    _refuse(missing(least), now)
    # The longest that fits lies from `fits` on and before `too_long`.
    fits, too_long = least, most + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (fits, middle) if missing(middle) else (middle, too_long)
    return [call.max_tokens(fits) for call in calls]


def reserved_amount(metric: Metric, bound: Usage | None, price: Price) -> Decimal:
    """What a running call holds of a counter. `bound` is None if no limit asks for tokens."""
    if metric in (Metric.REQUESTS, Metric.CONCURRENCY):
        return Decimal(1)
    if bound is None:
        raise ValueError(f"a limit on {metric} needs the tokens counted")
    # What is cached is known afterwards only, and may be dearer.
    dearest = Price(max(price.input, price.cached_input), Decimal(0), price.output)
    return bound.of(metric, dearest)


def _amount(gauge: Gauge, bound: Usage | None, price: Price) -> Decimal:
    return reserved_amount(gauge.metric, bound, price)


def _longest(gauge: Gauge, need: Need, price: Price) -> int:
    """The most tokens a choice may have under one limit; need.max_tokens if this one does not count them."""
    of_prompt = _amount(gauge, need.bound(0), price)
    of_token = _amount(gauge, need.bound(1), price) - of_prompt
    left = gauge.left - of_prompt
    if of_token == 0 or of_token * need.max_tokens <= left:
        return need.max_tokens
    return max(0, int(left // of_token))


def _blocking(gauges: Sequence[Gauge], bound: Usage | None, price: Price) -> list[tuple[Gauge, Decimal]]:
    """Limits that leave too little, each with what is asked of it."""
    asked = [(gauge, _amount(gauge, bound, price)) for gauge in gauges]
    return [(gauge, amount) for gauge, amount in asked if amount > gauge.left]


def _refuse(blocking: Sequence[tuple[Gauge, Decimal]], now: datetime) -> None:
    if not blocking:
        return
    latest = datetime.max.replace(tzinfo=UTC)
    # What never fits comes first. One at once goes by soonest, so it is named only if nothing else stands in the way.
    worst, asked = max(
        blocking,
        key=lambda one: (one[1] > one[0].amount, one[0].resets_at is not None, one[0].resets_at or latest),
    )
    if asked > worst.amount:
        raise LimitTooSmall(worst, asked=asked)
    is_busy = worst.used + asked <= worst.amount
    if is_busy or worst.resets_at is None:
        retry_after_s = BUSY_RETRY_S
    else:
        retry_after_s = max(1, int((worst.resets_at - now).total_seconds()) + 1)
    raise LimitExceeded(worst, asked=asked, is_busy=is_busy, retry_after_s=retry_after_s)
