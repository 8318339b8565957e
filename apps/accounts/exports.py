"""A user's part of the ledger as CSV or JSON, written row by row: memory does not grow with it."""

import json
from collections.abc import AsyncGenerator
from datetime import datetime

from apps.accounts.models import Endpoint, LedgerEntry
from apps.accounts.selectors import IN_BATTLES, ledger_page
from apps.core.csv_lines import csv_line
from apps.core.threads import in_thread

COLUMNS = (
    "started_at", "ended_at", "key", "model", "endpoint", "state", "requests", "prompt_tokens", "cached_tokens",
    "completion_tokens", "cost", "is_estimated", "request_id",
)  # fmt: skip

Row = dict[str, str | int | bool]


async def usage_csv(user_pk: int, *, since: datetime, until: datetime) -> AsyncGenerator[str, None]:
    yield csv_line(COLUMNS)
    async for row in _rows(user_pk, since, until):
        yield csv_line(row[column] for column in COLUMNS)


async def usage_json(user_pk: int, *, since: datetime, until: datetime) -> AsyncGenerator[str, None]:
    """One array of objects. Costs are texts, because a JSON number would be rounded."""
    separator = "[\n"
    async for row in _rows(user_pk, since, until):
        yield separator + json.dumps(row)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


async def _rows(user_pk: int, since: datetime, until: datetime) -> AsyncGenerator[Row, None]:
    after_pk = 0
    while entries := await in_thread(ledger_page, user_pk, since=since, until=until, after_pk=after_pk):
        for entry in entries:
            yield _row(entry)
        after_pk = entries[-1].pk


def _row(entry: LedgerEntry) -> Row:
    return {
        "started_at": entry.started_at.isoformat(),
        "ended_at": entry.ended_at.isoformat(),
        "key": entry.api_key.name if entry.api_key else "",
        "model": IN_BATTLES if entry.endpoint == Endpoint.BATTLES else entry.model_name,
        "endpoint": entry.endpoint,
        "state": entry.state,
        "requests": entry.requests,
        "prompt_tokens": entry.prompt_tokens,
        "cached_tokens": entry.cached_tokens,
        "completion_tokens": entry.completion_tokens,
        "cost": f"{entry.cost:f}",
        "is_estimated": entry.is_estimated,
        "request_id": entry.request_id,
    }
