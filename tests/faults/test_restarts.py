"""Postgres, Redis and the site itself die while requests wait for their turn and a batch runs.

What did not run on the process that died is answered; what did frees its place; and the books are right in the end.
"""

import json
import os
import signal
from typing import Any

import httpx
import pytest

from tests.faults.callers import Calls, calling
from tests.faults.launched import Launched
from tests.live import wait_until

pytestmark = pytest.mark.processes

SLOTS, CALLERS, BATCH_LINES = 2, 6, 12
MORE_ANSWERS = 12
"""After the process is back: each program has been answered again, and the queue has moved."""
ENDS_WITHIN_S = 60.0


@pytest.mark.parametrize("victim", ["redis", "postgres", "web"])
def test_nothing_is_lost_but_what_ran_on_the_process_that_died(site: Launched, key: str, victim: str) -> None:
    site.query("UPDATE workers_worker SET slots = %s RETURNING id", SLOTS)
    with calling(site.url, key, "tiny", n=CALLERS) as calls:
        wait_until(lambda: waiting(site), what="requests that wait for their turn")
        batch = start_batch(site.url, key)
        wait_until(lambda: batch_of(site.url, key, batch)["status"] == "in_progress", what="the batch to run")
        pid = site.process(victim).pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: site.has_replaced(victim, pid), what=f"a new {victim}")
        if victim == "web":
            wait_until(lambda: len(calls.noticed) == CALLERS, what="each program to notice")
            let_time_pass_for_the_dead(site, calls)
        before = len(calls.answered)
        wait_until(lambda: len(calls.answered) >= before + MORE_ANSWERS, what="more answers", limit_s=ENDS_WITHIN_S)

    # Postgres dies with the statements that it runs, one for a call at most.
    assert set(calls.refused) <= ({"503 database_away"} if victim == "postgres" else set())
    assert len(calls.refused) <= CALLERS
    assert len(calls.cut) <= (CALLERS if victim == "web" else 0)
    ended = wait_until(lambda: ended_batch(site.url, key, batch), what="the batch to end", limit_s=ENDS_WITHIN_S)
    assert ended is not None
    assert ended["request_counts"] == {"total": BATCH_LINES, "completed": BATCH_LINES, "failed": 0}
    wait_until(lambda: not unfinished(site), what="all places to be free")
    assert_books_are_right(site, calls)


def start_batch(url: str, key: str) -> str:
    """Its id. Each line is a short chat."""
    messages = [{"role": "user", "content": "Go on"}]
    lines = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "tiny", "messages": messages, "max_tokens": 24},
        }
        for number in range(BATCH_LINES)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30) as client:
        file = client.post("/v1/files", files={"file": ("in.jsonl", content)}, data={"purpose": "batch"})
        wanted = {"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return str(client.post("/v1/batches", json=wanted).raise_for_status().json()["id"])


def batch_of(url: str, key: str, batch: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    found: dict[str, Any] = httpx.get(f"{url}/v1/batches/{batch}", headers=headers, trust_env=False, timeout=30).json()
    return found


def ended_batch(url: str, key: str, batch: str) -> dict[str, Any] | None:
    found = batch_of(url, key, batch)
    return found if found["status"] in ("completed", "failed", "expired", "cancelled") else None


def waiting(site: Launched) -> int:
    return count(site, "SELECT count(*) FROM workers_poolrequest WHERE state = 'waiting'")


def unfinished(site: Launched) -> int:
    """Requests that hold a place, or would get one."""
    return count(
        site,
        "SELECT count(*) FROM workers_poolrequest"
        " WHERE state <> 'ended' AND renewed_at > now() - interval '20 seconds'",
    )


def count(site: Launched, statement: str, *values: object) -> int:
    [(n,)] = site.query(statement, *values)
    assert isinstance(n, int)
    return n


def let_time_pass_for_the_dead(site: Launched, calls: Calls) -> None:
    """As if their process had died a minute ago: by then nobody renews their places and reservations any more."""
    site.query(
        "UPDATE workers_poolrequest SET renewed_at = renewed_at - interval '1 minute'"
        " WHERE trace_id = ANY(%s) RETURNING id",
        calls.cut,
    )
    site.query(
        "UPDATE accounts_reservation SET expires_at = expires_at - interval '1 minute'"
        " WHERE request_id = ANY(%s) RETURNING id",
        calls.cut,
    )
    site.manage("shell", "--command", "from apps.accounts.ledger import reservations_expire; reservations_expire()")


def assert_books_are_right(site: Launched, calls: Calls) -> None:
    """Each answer is in the ledger once and with its usage; of what was cut, once if at all; nothing stays reserved."""
    ids = [*calls.answered, *calls.cut]
    statement = "SELECT request_id, prompt_tokens + completion_tokens, state FROM accounts_ledgerentry"
    entries = site.query(f"{statement} WHERE request_id = ANY(%s)", ids)
    assert len(entries) == len({request_id for request_id, _, _ in entries})
    of_answers = {
        request_id: n for request_id, n, state in entries if state == "complete" and request_id in calls.answered
    }
    assert of_answers == {request_id: usage["total_tokens"] for request_id, usage in calls.answered.items()}
    assert count(site, "SELECT count(*) FROM accounts_reservation WHERE request_id = ANY(%s)", ids) == 0
