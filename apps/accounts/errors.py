"""Errors of accounts and keys."""

from decimal import Decimal
from typing import TYPE_CHECKING

from apps.core.errors import SiteError, Whose

if TYPE_CHECKING:
    from apps.accounts.quota import Gauge


class KeyInvalid(SiteError):
    """Missing, unknown, expired, revoked, or used from elsewhere: one text for all, so that nobody can probe."""

    code = "accounts.key_invalid"
    http_status = 401
    whose = Whose.USER


class KeyNameTaken(SiteError):
    """The owner has an active key of this name."""

    code = "accounts.key_name_taken"
    http_status = 409
    whose = Whose.USER


class KeyNameEmpty(SiteError):
    """A key must have a name, to be told apart."""

    code = "accounts.key_name_empty"
    http_status = 400
    whose = Whose.USER


class KeyScopeWrong(SiteError):
    """What a key is to be restricted to makes no sense; `field` names which."""

    code = "accounts.key_scope_wrong"
    http_status = 400
    whose = Whose.USER

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(reason=reason)
        self.field = field


class EndpointNotAllowed(SiteError):
    """The key is for other things."""

    code = "accounts.endpoint_not_allowed"
    http_status = 403
    whose = Whose.USER


class ModelNotAllowed(SiteError):
    """The key is for other models."""

    code = "accounts.model_not_allowed"
    http_status = 403
    whose = Whose.USER


class LimitExceeded(SiteError):
    """A limit leaves too little for this call. Says which, how far it is used up, and when that changes."""

    code = "accounts.limit_exceeded"
    http_status = 429
    retryable = True
    whose = Whose.USER

    def __init__(
        self, gauge: "Gauge", *, asked: Decimal, retry_after_s: int | None = None, is_busy: bool = False
    ) -> None:
        resets_at = None if retry_after_s is None else gauge.resets_at
        super().__init__(
            limit=gauge.label,
            used=plain(gauge.used),
            reserved=plain(gauge.reserved),
            asked=plain(asked),
            resets="" if resets_at is None else f" It resets at {resets_at:%Y-%m-%d %H:%M} UTC.",
            advice=_advice(gauge, retry_after_s, is_busy),
            retry_after_s=retry_after_s,
        )
        self.gauge = gauge
        self.retry_after_s = retry_after_s


class LimitTooSmall(LimitExceeded):
    """The call alone asks for more than the whole limit, so it will be refused at any time."""

    retryable = False


class LimitNeedsBound(SiteError):
    """A limit on tokens is in force, and nobody can say how many tokens the call may use."""

    code = "accounts.limit_needs_bound"
    http_status = 400
    whose = Whose.USER


def _advice(gauge: "Gauge", retry_after_s: int | None, is_busy: bool) -> str:
    if not gauge.amount:
        return "An amount of 0 forbids: ask an administrator for more."
    if retry_after_s is None:
        return "This call alone is more than the whole limit: ask for less, such as fewer max_tokens."
    if is_busy:
        return f"Running calls hold the rest: try again in {retry_after_s} s, when one of them may have ended."
    return f"Try again in {retry_after_s} s, or ask an administrator for more."


def plain(amount: Decimal) -> str:
    """A number for people: no exponent, no trailing zeros, thousands set apart."""
    return f"{amount.normalize():,f}"
