"""What a reader writes about a generation: claim, progress, end. Each is a conditional UPDATE, so readers may race.

The database's clock decides about leases, because several machines read.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.expressions import Combinable
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now
from django.dispatch import Signal
from django.utils import timezone

from apps.accounts.ledger import generation_forgo, generation_lose
from apps.conversations.models import UNFINISHED, Generation, GenerationState, Message
from apps.conversations.outcomes import Outcome

generation_ended = Signal()
"""Sent once for each generation, with its `generation_id` and `state`, when its end is stored."""

READER_LEASE_S = 10
"""A reader that has not saved for so long is taken for dead. It saves every second."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a reader learns when it saves: whether the saving is still its business, and whether to stop."""

    is_mine: bool
    is_stop_requested: bool


def lease_end() -> datetime:
    """For a row that is created; a row that exists is leased by the database's clock."""
    return timezone.now() + timedelta(seconds=READER_LEASE_S)


def generation_claim(generation_id: UUID, reader: UUID) -> bool:
    """Become, or stay, the reader that saves. False if another one does, or if the generation has ended."""
    mine_or_free = Q(reader=reader) | Q(reader=None) | Q(reader_lease_expires_at__lt=Now())
    claimed = Generation.objects.filter(mine_or_free, public_id=generation_id, state__in=UNFINISHED).update(
        reader=reader, reader_lease_expires_at=_lease_end_in_database()
    )
    return claimed == 1


def generation_keep(generation_id: UUID, reader: UUID, *, text: str | None, ttft_ms: int | None) -> Kept | None:
    """Renew the claim, and save the text so far unless it is None. Return None if the generation ended or is gone."""
    with transaction.atomic():
        is_mine = generation_claim(generation_id, reader)
        if is_mine and text is not None:
            _text_save(generation_id, text, ttft_ms)
        row = Generation.objects.filter(public_id=generation_id, state__in=UNFINISHED)
        stop = row.values_list("is_stop_requested", flat=True).first()
    return None if stop is None else Kept(is_mine=is_mine, is_stop_requested=stop)


def generation_release(generation_id: UUID, reader: UUID, *, text: str | None, ttft_ms: int | None) -> None:
    """Let go, so that another process may go on at once; called when this one shuts down."""
    with transaction.atomic():
        released = Generation.objects.filter(public_id=generation_id, reader=reader, state__in=UNFINISHED).update(
            reader=None, reader_lease_expires_at=Now()
        )
        if released and text is not None:
            _text_save(generation_id, text, ttft_ms)


def generation_assign(generation_id: UUID, worker_id: int) -> bool:
    """Note which worker is about to be asked, before it is: a generation without one was never sent anywhere.

    False if it has ended or is gone: then it is settled as never sent, and must not be.
    """
    unfinished = Generation.objects.filter(public_id=generation_id, state__in=UNFINISHED)
    return unfinished.update(worker_id=worker_id) == 1


def generation_request_stop(generation_id: UUID) -> bool:
    """Ask whichever process reads to cancel. False if there is nothing left to stop."""
    asked = Generation.objects.filter(public_id=generation_id, state__in=UNFINISHED).update(is_stop_requested=True)
    return asked == 1


def generation_finish(generation_id: UUID, outcome: Outcome, text: str) -> bool:
    """Write the end and the whole text, once. False if it had ended before, or is gone."""
    with transaction.atomic():
        written = Generation.objects.filter(public_id=generation_id, state__in=UNFINISHED).update(
            state=outcome.state,
            finish_reason=outcome.finish_reason,
            error_code=outcome.error.code if outcome.error else "",
            error_message=outcome.error.message if outcome.error else "",
            is_error_retryable=outcome.error.retryable if outcome.error else False,
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            ttft_ms=outcome.ttft_ms if outcome.ttft_ms is not None else F("ttft_ms"),
            tokens_per_s=outcome.tokens_per_s,
            reader=None,
            reader_lease_expires_at=None,
            finished_at=Now(),
        )
        if written:
            Message.objects.filter(generation__public_id=generation_id).update(content=text, is_whole=True)
            if outcome.completion_tokens is None:
                _settle_unheard(generation_id, text)
            tell = partial(generation_ended.send_robust, None, generation_id=generation_id, state=outcome.state)
            transaction.on_commit(tell)  # others lock rows of their own
    return written == 1


def _settle_unheard(generation_id: UUID, text: str) -> None:
    generation = Generation.objects.only("worker_id", "n_given_chars").get(public_id=generation_id)
    # The row of its worker may be gone; what wrote a text was asked for it.
    was_sent = generation.worker_id is not None or len(text) > generation.n_given_chars
    settle = generation_lose if was_sent else generation_forgo
    settle(generation_id)


def _text_save(generation_id: UUID, text: str, ttft_ms: int | None) -> None:
    measured = {} if ttft_ms is None else {"ttft_ms": ttft_ms}
    Generation.objects.filter(public_id=generation_id).update(state=GenerationState.RUNNING, **measured)
    Message.objects.filter(generation__public_id=generation_id).update(content=text)


def _lease_end_in_database() -> Combinable:
    return ExpressionWrapper(Now() + timedelta(seconds=READER_LEASE_S), output_field=DateTimeField())
