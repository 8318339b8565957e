"""How much a provider is asked: a count for the present minute, and until when nobody asks it. Pure; it reads no clock.

The minutes are those of the clock, as for limits of people (`apps.accounts.quota`). Around their turn twice as much may
go out within less than a minute; a provider that minds says so, and then rests.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from apps.accounts.models import Period
from apps.accounts.quota import window_end, window_start


@dataclass(frozen=True, slots=True)
class Minute:
    """What was asked since a minute began. Requests count when they are given out, tokens when an answer has ended."""

    starts_at: datetime | None = None
    n_requests: int = 0
    n_tokens: int = 0

    def at(self, now: datetime) -> "Minute":
        """This one, or a new one if it is over."""
        start = window_start(Period.MINUTE, now)
        return self if self.starts_at == start else Minute(start)

    def with_request(self, now: datetime) -> "Minute":
        current = self.at(now)
        return replace(current, n_requests=current.n_requests + 1)

    def with_tokens(self, now: datetime, n_tokens: int) -> "Minute":
        current = self.at(now)
        return replace(current, n_tokens=current.n_tokens + n_tokens)


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """None is no limit. `running` is for all models together."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    running: int | None = None

    def room(self, minute: Minute, now: datetime, n_running: int) -> int | None:
        """How many more requests it takes now; None is any number."""
        current = minute.at(now)
        if self.tokens_per_minute is not None and current.n_tokens >= self.tokens_per_minute:
            return 0
        rooms = [
            limit - used
            for limit, used in ((self.requests_per_minute, current.n_requests), (self.running, n_running))
            if limit is not None
        ]
        return max(0, min(rooms)) if rooms else None

    def rests_until(self, minute: Minute, now: datetime) -> datetime | None:
        """When the next minute begins, if this one is used up."""
        per_minute = replace(self, running=None)
        return window_end(Period.MINUTE, now) if per_minute.room(minute, now, 0) == 0 else None
