"""Batches of a few short requests, and their files."""

import json
from typing import Any

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
