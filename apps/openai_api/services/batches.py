"""The life of a batch as rows: created, checked, worked on under a lease, ended. It asks no model anything.

validating -> in_progress -> finalizing -> completed | expired | failed, if its key opens no more
     |             |              |
   failed     cancelling -> finalizing -> cancelled
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DataError, transaction
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.core.texts import clean_json
from apps.openai_api.batch_input import BadInput, parsed_lines
from apps.openai_api.errors import AnswerUnstorable, BatchEnded, TooManyBatches, api_error
from apps.openai_api.models import UNFINISHED, ApiFile, Batch, BatchLine, BatchState, owner_fields
from apps.openai_api.services.files import file_chunks
from apps.openai_api.services.owner_lock import owner_lock

COMPLETION_WINDOW = timedelta(hours=24)
MAX_UNFINISHED = 100
"""Batches of one owner."""
LEASE_S = 30
"""A runner that has not renewed for so long is taken for dead. It renews every few seconds."""

INSERTED_AT_ONCE = 200

Json = dict[str, Any]

logger = logging.getLogger(__name__)


def batch_create(*, actor: Actor, endpoint: str, input_file: ApiFile, metadata: dict[str, str]) -> Batch:
    """Put a batch into the world; whoever runs batches finds it. Raises: TooManyBatches."""
    with transaction.atomic():
        owner_lock(actor)
        if Batch.objects.of_owner(actor).filter(state__in=UNFINISHED).count() >= MAX_UNFINISHED:
            raise TooManyBatches(limit=MAX_UNFINISHED)
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
    claimed = Batch.objects.filter(free, pk=pk, state__in=UNFINISHED).update(
        runner=runner, lease_expires_at=lease_end, tried_at=Now()
    )
    return Batch.objects.get(pk=pk) if claimed else None


def batch_release(pk: int, runner: UUID) -> None:
    """Let go, so that another runner may go on at once."""
    Batch.objects.filter(pk=pk, runner=runner).update(runner=None, lease_expires_at=None)


def batch_validate(batch: Batch) -> None:
    """Read the file into lines, all or none; a file with mistakes fails the batch and says which they are."""
    try:
        with transaction.atomic():
            # Not deleted while it is read, which would look like its end. And a runner that takes this one for dead,
            # because reading outlasts its lease, waits here and finds the work done.
            file = ApiFile.objects.select_for_update(no_key=True).filter(pk=batch.input_file_id or 0).first()
            if file is None:
                raise BadInput.of("file_deleted", "the input file was deleted before it was read")
            if not Batch.objects.filter(pk=batch.pk, n_total=0).exists():
                return
            n_lines = _lines_store(batch, file)
            # Of one that was cancelled meanwhile the lines are dropped at its end like all others.
            unended = Batch.objects.filter(pk=batch.pk, state__in=[BatchState.VALIDATING, BatchState.CANCELLING])
            if not unended.update(n_total=n_lines):
                transaction.set_rollback(True)
            Batch.objects.filter(pk=batch.pk, state=BatchState.VALIDATING).update(
                state=BatchState.IN_PROGRESS, in_progress_at=Now()
            )
    except BadInput as exc:
        _batch_fail(batch, exc.errors)
    except DataError as exc:
        logger.warning("batch %s holds what cannot be stored: %s", batch.public_id, exc)
        message = "a line holds a value that cannot be stored"
        _batch_fail(batch, BadInput.of("invalid_json_line", message).errors)


def _batch_fail(batch: Batch, errors: list[Json]) -> None:
    """End it without lines. If it was cancelled meanwhile, it ends as that."""
    Batch.objects.filter(pk=batch.pk, state=BatchState.VALIDATING).update(
        state=BatchState.FAILED, errors=errors, ended_at=Now(), runner=None, lease_expires_at=None
    )


def batch_close(batch: Batch, *, errors: Sequence[Json] = ()) -> None:
    """Answer no more of it: what there is goes into its files next. With `errors` it ends as failed."""
    open_states = [BatchState.VALIDATING, BatchState.IN_PROGRESS, BatchState.CANCELLING]
    Batch.objects.filter(pk=batch.pk, state__in=open_states).update(
        state=BatchState.FINALIZING, finalizing_at=Now(), errors=list(errors)
    )


def line_answer(line: BatchLine, *, status_code: int, answer: Json) -> None:
    """Keep the first answer to a line and count it; of one that cannot be stored, an error that says so."""
    try:
        _line_end(line, status_code, clean_json(answer))
    except (DataError, ValueError, RecursionError) as exc:
        error = api_error(AnswerUnstorable(reason=str(exc).partition("\n")[0]))
        _line_end(line, error.status, clean_json(error.body))


def _line_end(line: BatchLine, status_code: int, answer: Json) -> None:
    counter = "n_completed" if status_code == 200 else "n_failed"
    with transaction.atomic():
        waiting = BatchLine.objects.filter(pk=line.pk, status_code=None)
        if waiting.update(status_code=status_code, answer=answer, notes=line.notes):
            Batch.objects.filter(pk=line.batch_id).update(**{counter: F(counter) + 1})


def line_passed(line: BatchLine, body: Json) -> None:
    """The gate let it pass like this: nobody looks at it again. What was taken out is in the owner's file alone."""
    changed = {} if body == line.body else {"body": body}
    BatchLine.objects.filter(pk=line.pk).update(is_passed=True, notes=line.notes, **changed)


def line_put_back(line: BatchLine, *, is_suspect: bool) -> None:
    """It will be tried again, behind the others. `is_suspect`: what went wrong may have been the line."""
    BatchLine.objects.filter(pk=line.pk).update(tried_at=Now(), n_attempts=F("n_attempts") + int(is_suspect))


def _lines_store(batch: Batch, file: ApiFile) -> int:
    n_lines, waiting = 0, []
    for line in parsed_lines(file_chunks(file.pk), endpoint=batch.endpoint):
        n_lines += 1
        waiting.append(BatchLine(batch=batch, number=line.number, custom_id=line.custom_id, body=line.body))
        if len(waiting) == INSERTED_AT_ONCE:
            BatchLine.objects.bulk_create(waiting)
            waiting.clear()
    BatchLine.objects.bulk_create(waiting)
    return n_lines
