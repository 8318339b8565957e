"""The end of a batch: what its lines were answered goes into files, and the lines go."""

import json
import uuid
from collections.abc import Iterator

from django.db import transaction
from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.openai_api.models import ApiFile, Batch, BatchLine, BatchState, Purpose
from apps.openai_api.services.files import file_write

READ_AT_ONCE = 100


def batch_finalize(batch: Batch) -> None:
    """Write the files and end the batch, in one transaction: there are both or neither."""
    with transaction.atomic():
        # Waits for another runner that is at it, and finds then that nothing is left to do.
        batch = Batch.objects.select_for_update().get(pk=batch.pk)
        if batch.state != BatchState.FINALIZING:
            return
        batch.output_file = _file(batch, "output", _answered(batch, is_success=True)) if batch.n_completed else None
        has_errors = batch.n_completed < batch.lines.count()
        batch.error_file = _file(batch, "errors", _answered(batch, is_success=False)) if has_errors else None
        batch.state = _end_state(batch)
        batch.save(update_fields=["output_file", "error_file", "state"])
        Batch.objects.filter(pk=batch.pk).update(ended_at=Now(), runner=None, lease_expires_at=None)
        batch.lines.all().delete()


def _end_state(batch: Batch) -> BatchState:
    if batch.cancelling_at is not None:
        return BatchState.CANCELLED
    if batch.errors:
        return BatchState.FAILED
    is_read = batch.in_progress_at is not None
    is_answered = is_read and not batch.lines.filter(status_code=None).exists()
    return BatchState.COMPLETED if is_answered else BatchState.EXPIRED


def _file(batch: Batch, what: str, lines: Iterator[bytes]) -> ApiFile:
    actor = Actor(user_id=batch.user_id, api_key_id=batch.api_key_id)
    name = f"batch_{batch.public_id.hex}_{what}.jsonl"
    return file_write(actor=actor, name=name, purpose=Purpose.BATCH_OUTPUT, pieces=lines)


def _answered(batch: Batch, *, is_success: bool) -> Iterator[bytes]:
    lines = batch.lines.order_by("number")
    lines = lines.filter(status_code=200) if is_success else lines.exclude(status_code=200)
    for line in lines.iterator(chunk_size=READ_AT_ONCE):
        yield json.dumps(_result(batch, line), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _result(batch: Batch, line: BatchLine) -> dict[str, object]:
    """Source: OpenAI API reference, "The request output object"."""
    result: dict[str, object] = {"id": f"batch_req_{line.public_id.hex}", "custom_id": line.custom_id}
    if line.status_code is not None:
        response = {"status_code": line.status_code, "request_id": line_request_id(line.public_id), "body": line.answer}
        # Ours, beside OpenAI's fields: what was taken out or flagged would not be known otherwise.
        noted = {"moderation": line.notes} if line.notes else {}
        return result | {"response": response, "error": None} | noted
    if batch.cancelling_at is not None:
        error = {"code": "batch_cancelled", "message": "The batch was cancelled before this request was answered."}
    elif batch.errors:
        error = {name: batch.errors[0][name] for name in ("code", "message")}
    else:
        error = {"code": "batch_expired", "message": "The batch expired before this request was answered."}
    return result | {"response": None, "error": error}


def line_request_id(public_id: uuid.UUID) -> str:
    """By which administrators find the request in the logs of site and worker."""
    return f"batch-{public_id.hex}"
