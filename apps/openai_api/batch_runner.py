"""Work on a batch for a while: ask the pool line by line, several at once, and keep each answer as it comes.

A runner holds the batch's lease and renews it. One that dies leaves the lines that it was asking unanswered, and the
next one asks them again: each line has one answer in the end. What is busy or away is waited for, up to the batch's
own end; what is wrong with a line fails that line.
"""

import asyncio
import logging
from contextlib import suppress
from time import monotonic
from uuid import UUID, uuid4

from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import ApiKey
from apps.accounts.selectors import keys_active
from apps.core.errors import SiteError, Whose
from apps.core.middleware import request_id_var
from apps.core.threads import in_thread
from apps.moderation.bans import ban_find
from apps.openai_api.batch_answers import line_answered
from apps.openai_api.batch_input import BadInput
from apps.openai_api.errors import api_error
from apps.openai_api.models import Batch, BatchLine, BatchState
from apps.openai_api.selectors import lines_waiting
from apps.openai_api.services import batches
from apps.openai_api.services.batch_results import batch_finalize, line_request_id
from apps.workers.request import DATABASE_AWAY

AT_ONCE = 8
SLICE_S = 15.0
"""Then another job gets its turn; a large batch is many slices."""
RENEW_S = 5.0
MAX_ATTEMPTS = 20
"""Of a line whose worker fails each time: it may be the line that does it."""

logger = logging.getLogger(__name__)


def batch_advance(pk: int, *, runner: UUID | None = None, slice_s: float = SLICE_S) -> bool:
    """Take the batch a bit further, if nobody else does. Returns whether it can go on at once.

    `runner`: whoever holds the lease for this turn already.
    """
    runner = runner or uuid4()
    batch = batches.batch_claim(pk, runner)
    if batch is None:
        return False
    try:
        return _advanced(batch, runner, slice_s)
    finally:
        batches.batch_release(pk, runner)


def _advanced(batch: Batch, runner: UUID, slice_s: float) -> bool:
    match BatchState(batch.state):
        case BatchState.VALIDATING:
            if batch.expires_at <= timezone.now():
                batches.batch_close(batch)
            else:
                batches.batch_validate(batch)
            return True
        case BatchState.IN_PROGRESS:
            if (problem := _key_problem(batch.api_key)) is not None:
                batches.batch_close(batch, errors=BadInput.of("invalid_api_key", problem).errors)
                return True
            return asyncio.run(_Slice(batch, runner, slice_s).run())
        case BatchState.CANCELLING:
            batches.batch_close(batch)
            return True
        case _:
            batch_finalize(batch)
            return False


def _key_problem(key: ApiKey) -> str | None:
    """Why the batch may not go on."""
    now = timezone.now()
    if keys_active(now).filter(pk=key.pk).exists():
        ban = ban_find(Actor(user_id=key.user_id, api_key_id=key.pk))
        return None if ban is None else "The owner of the batch's key was banned before all of it was answered."
    if key.revoked_at is not None:
        return "The key of the batch was revoked before all of it was answered."
    if key.expires_at is not None and key.expires_at <= now:
        return "The key of the batch expired before all of it was answered."
    return "The owner of the batch's key was switched off before all of it was answered."


class _Slice:
    """One runner's turn. `_must_wait` is set by the first line that cannot be asked now."""

    def __init__(self, batch: Batch, runner: UUID, slice_s: float) -> None:
        self._batch = batch
        self._runner = runner
        self._ends_at = monotonic() + slice_s
        self._mine_until = monotonic() + batches.LEASE_S
        self._actor = Actor(user_id=batch.user_id, api_key_id=batch.api_key_id)
        self._must_wait = False

    async def run(self) -> bool:
        """Returns whether there is more to do at once."""
        renewing = asyncio.create_task(self._renew())
        try:
            while self._may_go_on():
                lines = await in_thread(lines_waiting, self._batch.pk, AT_ONCE)
                if not lines:
                    await in_thread(batches.batch_close, self._batch)
                    return True
                # Together, then the next ones: the slowest decides, and the worker batches them side by side.
                async with asyncio.TaskGroup() as asking:
                    for line in lines:
                        asking.create_task(self._ask(line))
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
        if self._batch.expires_at <= timezone.now():
            await in_thread(batches.batch_close, self._batch)
            return True
        return self._is_mine() and not self._must_wait

    def _may_go_on(self) -> bool:
        has_time = monotonic() < self._ends_at and self._batch.expires_at > timezone.now()
        return has_time and self._is_mine() and not self._must_wait

    def _is_mine(self) -> bool:
        return monotonic() < self._mine_until

    async def _renew(self) -> None:
        """Until the lease is lost or runs out: a database that is away for a moment does not end it."""
        while self._is_mine():
            await asyncio.sleep(RENEW_S)
            asked_at = monotonic()
            try:
                kept = await in_thread(batches.batch_claim, self._batch.pk, self._runner)
            except DATABASE_AWAY as exc:
                logger.warning("the lease of batch %s is not renewed: %s", self._batch.public_id, exc)
                continue
            is_mine = kept is not None and kept.state == BatchState.IN_PROGRESS
            self._mine_until = asked_at + batches.LEASE_S if is_mine else asked_at

    async def _ask(self, line: BatchLine) -> None:
        request_id_var.set(line_request_id(line.public_id))
        try:
            try:
                answer = await line_answered(line, self._batch.endpoint, self._actor)
            except DATABASE_AWAY:
                raise
            except Exception as exc:
                # Whatever it is, it must not take the other lines with it; `api_error` writes it to the log.
                if not await self._is_to_be_tried_again(line, exc):
                    error = api_error(exc)
                    await in_thread(batches.line_answer, line, status_code=error.status, answer=error.body)
            else:
                await in_thread(batches.line_answer, line, status_code=200, answer=answer)
        except DATABASE_AWAY as exc:
            self._wait(exc)

    async def _is_to_be_tried_again(self, line: BatchLine, error: Exception) -> bool:
        if not isinstance(error, SiteError) or not error.retryable or line.n_attempts >= MAX_ATTEMPTS:
            return False
        await in_thread(batches.line_put_back, line, is_suspect=error.whose is Whose.WORKER)
        self._wait(error)
        return True

    def _wait(self, reason: Exception) -> None:
        self._must_wait = True
        logger.info("batch %s waits: %s", self._batch.public_id, reason)
