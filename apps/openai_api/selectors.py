"""Reads of files and batches: one's own, newest first, page by page. Another's are not told from none."""

from typing import TypeVar
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.core.errors import NotFound
from apps.openai_api.errors import InvalidRequest
from apps.openai_api.models import UNFINISHED, ApiFile, Batch, BatchLine, OwnedModel, Purpose

T = TypeVar("T", bound=OwnedModel)

FILE_MARK, BATCH_MARK = "file-", "batch_"
MAX_PAGE = 100
MAX_LIMIT_DIGITS = 3

LONGEST_AGO = F("tried_at").asc(nulls_first=True)


def file_get(actor: Actor, file_id: object) -> ApiFile:
    """Raises: NotFound."""
    return _get(ApiFile.objects.owned(actor), FILE_MARK, file_id)


def batch_get(actor: Actor, batch_id: object) -> Batch:
    """Raises: NotFound."""
    return _get(Batch.objects.owned(actor).select_related("output_file", "error_file"), BATCH_MARK, batch_id)


def files_page(actor: Actor, *, after: str | None, limit: int, purpose: str | None) -> tuple[list[ApiFile], bool]:
    """A page, and whether there are more. Raises: NotFound for an `after` that is not the actor's."""
    files = ApiFile.objects.owned(actor)
    if purpose:
        # OpenAI has purposes of which nobody can have a file here; a NUL would be an error in Postgres.
        files = files.filter(purpose=purpose) if purpose in Purpose.values else files.none()
    return _page(files, FILE_MARK, after, limit)


def batches_page(actor: Actor, *, after: str | None, limit: int) -> tuple[list[Batch], bool]:
    """As `files_page`."""
    batches = Batch.objects.owned(actor).select_related("output_file", "error_file")
    return _page(batches, BATCH_MARK, after, limit)


def batches_free(limit: int) -> list[int]:
    """Batches on which somebody should work and nobody does; first those whose last turn is longest ago."""
    free = Q(runner=None) | Q(lease_expires_at__lt=Now())
    unfinished = Batch.objects.filter(free, state__in=UNFINISHED)
    return list(unfinished.order_by(LONGEST_AGO, "pk").values_list("pk", flat=True)[:limit])


def lines_waiting(batch_pk: int, limit: int) -> list[BatchLine]:
    """The next lines without an answer, in their order; behind them those that were tried, longest ago first.

    So a line whose model is away holds up none whose model is there.
    """
    waiting = BatchLine.objects.filter(batch_id=batch_pk, status_code=None)
    return list(waiting.order_by(LONGEST_AGO, "number")[:limit])


def page_limit(text: str | None, default: int) -> int:
    """Raises: InvalidRequest."""
    if text is None:
        return default
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_LIMIT_DIGITS
    if not is_number or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidRequest(reason=f"'limit' must be a number from 1 to {MAX_PAGE}", param="limit")
    return int(text)


def _get(owned: QuerySet[T], mark: str, public_id: object) -> T:
    text = public_id.removeprefix(mark) if isinstance(public_id, str) and public_id.startswith(mark) else ""
    try:
        found = owned.filter(public_id=UUID(text)).first()
    except ValueError as exc:
        raise NotFound from exc
    if found is None:
        raise NotFound
    return found


def _page(owned: QuerySet[T], mark: str, after: str | None, limit: int) -> tuple[list[T], bool]:
    if after:
        owned = owned.filter(pk__lt=_get(owned, mark, after).pk)
    found = list(owned.order_by("-pk")[: limit + 1])
    return found[:limit], len(found) > limit
