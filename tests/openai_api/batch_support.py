"""Batches of a few short requests, and their files."""

import json
import threading
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from apps.accounts.actors import Actor
from apps.accounts.services import NewKey
from apps.openai_api.batch_runner import batch_advance
from apps.openai_api.models import ApiFile, Batch
from apps.openai_api.services import batches, files

URL = "/v1/completions"


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    wanted = {"model": "tiny", "prompt": f"say {custom_id}", "max_tokens": 4, "temperature": 0} | body
    return {"custom_id": custom_id, "method": "POST", "url": URL, "body": wanted}


def new_batch(key: NewKey, *lines: Any, endpoint: str = URL) -> Batch:
    actor = Actor(user_id=key.key.user_id, api_key_id=key.key.pk)
    content = "\n".join(map(json.dumps, lines)).encode()
    file = files.file_upload(actor=actor, name="in.jsonl", purpose="batch", pieces=[content])
    return batches.batch_create(actor=actor, endpoint=endpoint, input_file=file, metadata={})


def advance_to_the_end(batch: Batch) -> Batch:
    """As the job does it, turn by turn."""
    for _ in range(20):
        if not batch_advance(batch.pk):
            break
    batch.refresh_from_db()
    return batch


def content_of(file: ApiFile | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    return [json.loads(one) for one in b"".join(files.file_chunks(file.pk)).splitlines()]


def is_somebody_waiting_for_a_lock() -> bool:
    """In the tests' own database."""
    statement = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the first look again and again
        cursor.execute(statement)
        return cursor.fetchone() is not None


def in_background(function: Callable[[], object]) -> threading.Thread:
    """Start it in a thread, with a database connection that is closed at its end."""

    def call() -> None:
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=call)
    thread.start()
    return thread
