"""The life of a kept response as rows: made, worked on under a lease, ended, cancelled, forgotten. It asks no model.

background:  queued -> in_progress -> completed | incomplete | failed
                 |          |
              cancelled  cancelled
streamed:    in_progress -> one of these ends; it is cancelled by leaving. Others are written when they have ended.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, DateTimeField, ExpressionWrapper, F, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.ledger import generation_forgo, generation_lose
from apps.core.errors import NotFound
from apps.core.texts import clean_json
from apps.holds.selectors import held_ids, not_held_require
from apps.openai_api.errors import InvalidRequest, TooManyResponses
from apps.openai_api.models import UNENDED, ResponseState, StoredResponse
from apps.openai_api.responses.assembly import Outcome
from apps.openai_api.services.owner_lock import owner_lock

LEASE_S = 60
"""Who works on a response and has not renewed for so long is taken for dead."""
MAX_UNENDED = 100
"""In the background, of one owner."""
MAX_TURNS = 5
"""A response that so many runners died of is given up."""
EXTENDED_EVERY = timedelta(days=1)

LOST = {"code": "server_error", "message": "The site was stopped in the middle of the answer. Ask again."}


def response_begin(response: StoredResponse, *, runner: UUID) -> None:
    """Keep one that is being streamed; `runner` streams it."""
    response.runner, response.lease_expires_at = runner, timezone.now() + timedelta(seconds=LEASE_S)
    _insert(response)


def response_keep(response: StoredResponse, outcome: Outcome) -> None:
    """Keep one that has ended before anybody could ask for it. Once more does nothing."""
    response_fill(response, outcome)
    try:
        _insert(response)
    except IntegrityError:
        # The database went away after it had kept it, and before it could say so.
        if not StoredResponse.objects.filter(public_id=response.public_id).exists():
            raise


def response_fill(response: StoredResponse, outcome: Outcome) -> None:
    """Put the outcome into the object alone."""
    response.state, response.output = outcome.state, clean_json(outcome.output)
    response.usage, response.error = outcome.usage, clean_json(outcome.error)
    response.incomplete_reason = outcome.incomplete_reason
    response.n_bytes, response.ended_at = n_bytes(response), timezone.now()


def response_queue(actor: Actor, response: StoredResponse) -> None:
    """Keep one to be answered in the background. Raises: TooManyResponses."""
    with transaction.atomic():
        owner_lock(actor)
        unended = StoredResponse.objects.of_owner(actor).filter(is_background=True, state__in=UNENDED)
        if unended.count() >= MAX_UNENDED:
            raise TooManyResponses(limit=MAX_UNENDED)
        _insert(response)


def responses_claim(runner: UUID, limit: int) -> list[StoredResponse]:
    """Take on background responses that nobody works on, the oldest first."""
    with transaction.atomic():
        free = StoredResponse.objects.filter(_is_free(), is_background=True, state__in=UNENDED).order_by("pk")
        found = list(free.select_for_update(skip_locked=True)[:limit])
        StoredResponse.objects.filter(pk__in=[response.pk for response in found]).update(
            runner=runner, lease_expires_at=_lease_end(), state=ResponseState.IN_PROGRESS, n_turns=F("n_turns") + 1
        )
    for response in found:
        response.runner = runner
    return found


def responses_renew(pks: Sequence[int]) -> None:
    """They are still being worked on."""
    StoredResponse.objects.filter(pk__in=pks, state__in=UNENDED).update(lease_expires_at=_lease_end())


def responses_wanted(runner: UUID, pks: Sequence[int]) -> set[int]:
    """Those of its responses that a runner shall go on with: not cancelled, not deleted, not somebody else's."""
    mine = StoredResponse.objects.filter(pk__in=pks, runner=runner, state__in=UNENDED)
    mine.update(lease_expires_at=_lease_end())
    return set(mine.values_list("pk", flat=True))


def responses_taken(runner: UUID, pks: Sequence[int]) -> set[int]:
    """Those of them that somebody else works on by now, because this runner did not renew its lease in time."""
    others = StoredResponse.objects.filter(pk__in=pks, state__in=UNENDED).exclude(runner=runner)
    return set(others.values_list("pk", flat=True))


def response_assign(response: StoredResponse, worker_id: int) -> bool:
    """Note which worker is about to be asked. False if the response is not to be asked for any more."""
    wanted = StoredResponse.objects.filter(pk=response.pk, runner=response.runner, state__in=UNENDED)
    return wanted.update(worker_id=worker_id) == 1


def response_put_back(response: StoredResponse, *, after_s: float) -> None:
    """Nobody could answer it now: it is tried again a little later."""
    again = ExpressionWrapper(Now() + timedelta(seconds=after_s), output_field=DateTimeField())
    StoredResponse.objects.filter(pk=response.pk, runner=response.runner).update(
        runner=None, lease_expires_at=again, n_turns=F("n_turns") - 1, worker=None
    )


def response_end(response: StoredResponse, outcome: Outcome) -> None:
    """Write what came, once, by whoever works on it. What was cancelled meanwhile stays cancelled."""
    response_fill(response, outcome)
    cancelled = When(state=ResponseState.CANCELLED, then=Value(str(ResponseState.CANCELLED)))
    written = StoredResponse.objects.filter(pk=response.pk, runner=response.runner).update(
        state=Case(cancelled, default=Value(str(outcome.state))),
        output=response.output,
        n_bytes=response.n_bytes,
        usage=response.usage,
        error=response.error,
        incomplete_reason=response.incomplete_reason,
        options={},
        runner=None,
        lease_expires_at=None,
        ended_at=response.ended_at,
    )
    if written and response.is_background and outcome.usage is None:
        settle_unheard(response.public_id)


def settle_unheard(public_id: UUID) -> None:
    """A background response has ended and nobody heard what it used; in the ledger it may be open still."""
    was_sent = StoredResponse.objects.filter(public_id=public_id, worker__isnull=False).exists()
    (generation_lose if was_sent else generation_forgo)(public_id)


def response_cancel(response: StoredResponse) -> StoredResponse:
    """End one that works in the background; one that has ended stays as it is. Raises: InvalidRequest, NotFound.

    Whoever works on it adds what came so far.
    """
    if not response.is_background:
        reason = "only responses with 'background': true can be cancelled; a stream ends when its connection does"
        raise InvalidRequest(reason=reason)
    StoredResponse.objects.filter(pk=response.pk, state__in=UNENDED).update(
        state=ResponseState.CANCELLED, ended_at=Now(), options={}
    )
    try:
        response.refresh_from_db()
    except StoredResponse.DoesNotExist as exc:
        raise NotFound from exc
    return response


def response_delete(response: StoredResponse) -> None:
    """Whoever works on it in the background finds it gone and stops. One that is being streamed goes on to its end.

    Raises: Held.
    """
    not_held_require(response.kept_by)
    response.delete()


def responses_lose() -> int:
    """End streamed responses whose process died, and background ones that kill whoever takes them up.

    The runner stays: if it lives after all, and only could not renew, it may still write the true end.
    """
    lost = StoredResponse.objects.filter(Q(is_background=False) | Q(n_turns__gte=MAX_TURNS), _is_free())
    lost = lost.filter(state__in=UNENDED, lease_expires_at__isnull=False)
    return lost.update(state=ResponseState.FAILED, error=LOST, ended_at=Now(), options={})


def responses_over() -> QuerySet[StoredResponse]:
    """Those whose time is over and that are not held: to be forgotten."""
    over = StoredResponse.objects.filter(expires_at__lt=Now())
    return over.exclude(user__isnull=False, user__public_id__in=held_ids())


def _insert(response: StoredResponse) -> None:
    """With it, the responses before it are kept longer: a conversation is forgotten as a whole."""
    response.n_bytes = n_bytes(response)
    response.expires_at = timezone.now() + timedelta(days=settings.API_RESPONSE_DAYS)
    with transaction.atomic():
        response.save(force_insert=True)
        before = response.expires_at - EXTENDED_EVERY
        earlier = StoredResponse.objects.filter(pk__in=response.ancestors, expires_at__lt=before)
        earlier.update(expires_at=response.expires_at)


def n_bytes(response: StoredResponse) -> int:
    """Of what it keeps: see the model."""
    return len(json.dumps([response.items, response.output], ensure_ascii=False).encode())


def _is_free() -> Q:
    return Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())


def _lease_end() -> Combinable:
    return ExpressionWrapper(Now() + timedelta(seconds=LEASE_S), output_field=DateTimeField())
