"""Reads of files, batches and responses: one's own, page by page. Another's are not told from none."""

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Now

from apps.accounts.actors import Actor
from apps.core.errors import NotFound
from apps.openai_api.errors import InvalidRequest, PreviousResponseNotFound
from apps.openai_api.models import (
    UNENDED,
    UNFINISHED,
    ApiFile,
    Batch,
    BatchLine,
    OwnedModel,
    Purpose,
    StoredResponse,
)

T = TypeVar("T", bound=OwnedModel)

FILE_MARK, BATCH_MARK, RESPONSE_MARK = "file-", "batch_", "resp_"
MAX_PAGE = 100
MAX_LIMIT_DIGITS = 3

MAX_ANCESTORS = 100
"""Responses in one conversation, before the one that is asked for."""
MAX_CONTEXT_BYTES = 8 * 1024 * 1024
"""Of all their items together; as much as a request may have."""

LONGEST_AGO = F("tried_at").asc(nulls_first=True)


def file_get(actor: Actor, file_id: object) -> ApiFile:
    """Raises: NotFound."""
    return _get(ApiFile.objects.owned(actor), FILE_MARK, file_id)


def batch_get(actor: Actor, batch_id: object) -> Batch:
    """Raises: NotFound."""
    return _get(Batch.objects.owned(actor).select_related("output_file", "error_file"), BATCH_MARK, batch_id)


def response_get(actor: Actor, response_id: object) -> StoredResponse:
    """Raises: NotFound."""
    return _get(StoredResponse.objects.owned(actor), RESPONSE_MARK, response_id)


def previous_get(actor: Actor, response_id: object) -> StoredResponse:
    """A response that is to be continued. Raises: PreviousResponseNotFound; InvalidRequest while it is written."""
    try:
        previous = response_get(actor, response_id)
    except NotFound as exc:
        raise PreviousResponseNotFound(response=repr(response_id)[:80]) from exc
    if not previous.is_ended:
        reason = f"{response_id} has not ended: wait for it"
        raise InvalidRequest(reason=reason, param="previous_response_id")
    if len(previous.ancestors) >= MAX_ANCESTORS:
        reason = f"a conversation has at most {MAX_ANCESTORS + 1} responses before a new one: send its items as 'input'"
        raise InvalidRequest(reason=reason, param="previous_response_id")
    return previous


def context_items(actor: Actor, pks: list[int], *, is_whole: bool = True) -> list[dict[str, Any]]:
    """What was said in these responses, in their order; those that were deleted are left out unless `is_whole`.

    Raises: PreviousResponseNotFound when one of them was deleted; InvalidRequest when they are too much.
    """
    responses = StoredResponse.objects.owned(actor).filter(pk__in=pks)
    if (responses.aggregate(n=Sum("n_bytes"))["n"] or 0) > MAX_CONTEXT_BYTES:
        reason = f"the conversation is over {MAX_CONTEXT_BYTES // 1024 // 1024} MiB: send what matters of it as 'input'"
        raise InvalidRequest(reason=reason, param="previous_response_id")
    found = {pk: items + output for pk, items, output in responses.values_list("pk", "items", "output")}
    if is_whole and len(found) < len(pks):
        raise PreviousResponseNotFound(response="A response before it")
    return [item for pk in pks for item in found.get(pk, ())]


def responses_waiting() -> bool:
    """Whether some background response is nobody's business."""
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    return StoredResponse.objects.filter(free, is_background=True, state__in=UNENDED).exists()


def responses_in_work() -> int:
    """How many background responses somebody works on."""
    unended = StoredResponse.objects.filter(is_background=True, state__in=UNENDED)
    return unended.filter(lease_expires_at__gte=Now(), runner__isnull=False).count()


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
