"""Rows of accounts: `people` (users, visitors, keys), `limits` (what they may use), `ledger` (what they used)."""

from apps.accounts.models.ledger import CallState, LedgerEntry
from apps.accounts.models.limits import Audience, Hold, Limit, Metric, Period, Reservation, UsageCounter
from apps.accounts.models.people import ApiKey, Endpoint, User, Visitor

__all__ = [
    "ApiKey",
    "Audience",
    "CallState",
    "Endpoint",
    "Hold",
    "LedgerEntry",
    "Limit",
    "Metric",
    "Period",
    "Reservation",
    "UsageCounter",
    "User",
    "Visitor",
]
