"""The life of a batch as rows: created, checked, worked on under a lease, ended. It asks no model anything.

validating -> in_progress -> finalizing -> completed | expired
     |             |              |
   failed     cancelling -> finalizing -> cancelled
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.openai_api.batch_input import BadInput, parsed_lines
from apps.openai_api.errors import BatchEnded
from apps.openai_api.models import UNFINISHED, ApiFile, Batch, BatchLine, BatchState, owner_fields
from apps.openai_api.services.files import file_chunks

COMPLETION_WINDOW = timedelta(hours=24)
LEASE_S = 30
"""A runner that has not renewed for so long is taken for dead. It renews every few seconds."""

INSERTED_AT_ONCE = 200

Json = dict[str, Any]


def batch_create(*, actor: Actor, endpoint: str, input_file: ApiFile, metadata: dict[str, str]) -> Batch:
    """Put a batch into the world; whoever runs batches finds it."""
    return Batch.objects.create(
        **owner_fields(actor),
        endpoint=endpoint,
        input_file=input_file,
        input_file_public_id=input_file.public_id,
        metadata=metadata,
        expires_at=timezone.now() + COMPLETION_WINDOW,
    )


def batch_cancel(batch: Batch) -> Batch:
    """What is being answered is finished and kept, the rest is dropped. Raises: BatchEnded."""
    cancellable = [BatchState.VALIDATING, BatchState.IN_PROGRESS, BatchState.CANCELLING]
    changed = Batch.objects.filter(pk=batch.pk, state__in=cancellable).update(
        state=BatchState.CANCELLING, cancelling_at=Now()
    )
    batch.refresh_from_db()
    if not changed:
        raise BatchEnded(state=batch.state)
    return batch


def batch_claim(pk: int, runner: UUID) -> Batch | None:
    """Take the lease, or keep it. None if somebody else has it or the batch has ended."""
    free = Q(runner=runner) | Q(runner=None) | Q(lease_expires_at__lt=Now())
    lease_end = ExpressionWrapper(Now() + timedelta(seconds=LEASE_S), output_field=DateTimeField())
    claimed = Batch.objects.filter(free, pk=pk, state__in=UNFINISHED).update(runner=runner, lease_expires_at=lease_end)
    return Batch.objects.get(pk=pk) if claimed else None


def batch_release(pk: int, runner: UUID) -> None:
    """Let go, so that another runner may go on at once."""
    Batch.objects.filter(pk=pk, runner=runner).update(runner=None, lease_expires_at=None)


def batch_validate(batch: Batch) -> None:
    """Read the file into lines, all or none; a file with mistakes fails the batch and says which they are."""
    try:
        with transaction.atomic():
            if batch.input_file_id is None:
                raise BadInput.of("file_deleted", "the input file was deleted before it was read")
            n_lines = _lines_store(batch)
            # Only if nobody cancelled it meanwhile; then the lines are dropped at its end like all others.
            Batch.objects.filter(pk=batch.pk).update(n_total=n_lines)
            Batch.objects.filter(pk=batch.pk, state=BatchState.VALIDATING).update(
                state=BatchState.IN_PROGRESS, in_progress_at=Now()
            )
    except BadInput as exc:
        batch_fail(batch, exc.errors)


def batch_fail(batch: Batch, errors: list[Json]) -> None:
    """End it without answers."""
    Batch.objects.filter(pk=batch.pk, state__in=UNFINISHED).update(
        state=BatchState.FAILED, errors=errors, ended_at=Now(), runner=None, lease_expires_at=None
    )
    BatchLine.objects.filter(batch=batch).delete()


def batch_close(batch: Batch) -> None:
    """Answer no more of it: what there is goes into its files next."""
    Batch.objects.filter(pk=batch.pk, state__in=[BatchState.IN_PROGRESS, BatchState.CANCELLING]).update(
        state=BatchState.FINALIZING, finalizing_at=Now()
    )


def line_answer(line: BatchLine, *, status_code: int, answer: Json) -> None:
    """Keep the first answer to a line and count it."""
    counter = "n_completed" if status_code == 200 else "n_failed"
    with transaction.atomic():
        waiting = BatchLine.objects.filter(pk=line.pk, status_code=None)
        if waiting.update(status_code=status_code, answer=answer):
            Batch.objects.filter(pk=line.batch_id).update(**{counter: F(counter) + 1})


def line_tried(line: BatchLine) -> None:
    """It will be tried again, because what went wrong may have been the line."""
    BatchLine.objects.filter(pk=line.pk).update(n_attempts=F("n_attempts") + 1)


def _lines_store(batch: Batch) -> int:
    n_lines, waiting = 0, []
    for line in parsed_lines(file_chunks(batch.input_file_id or 0), endpoint=batch.endpoint):
        n_lines += 1
        waiting.append(BatchLine(batch=batch, number=line.number, custom_id=line.custom_id, body=line.body))
        if len(waiting) == INSERTED_AT_ONCE:
            BatchLine.objects.bulk_create(waiting)
            waiting.clear()
    BatchLine.objects.bulk_create(waiting)
    return n_lines
