"""The queue in front of the workers: one per model, fair between parties, bounded, the same for all web processes.

All of it is in Postgres. Who is admitted is decided under one lock per model, by whichever process looks first; a
request whose process died is no longer counted once it was not renewed for `RENEWED_WITHIN`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Avg, Count, F, Max, QuerySet
from django.utils import timezone

from apps.catalog.models import LanguageModel
from apps.workers import selectors
from apps.workers.call import Call
from apps.workers.errors import ModelFailed, ModelLoading, NoWorker, PartyQueueFull, ProviderResting, QueueFull
from apps.workers.fairness import Place, Waiting, fair_order
from apps.workers.models import RENEWED_WITHIN, HostedModel, PoolRequest, RequestState, Worker
from apps.workers.parties import party_of, waiting_limit
from apps.workers.services.assignments import worker_choose, worker_count
from apps.workers.target import Target

NOBODY = (NoWorker, ModelLoading, ModelFailed, ProviderResting)
TURNS_REMEMBERED = timedelta(minutes=10)
N_MEASURED = 50
_LOCK = 7001
"""Of our advisory locks the one for queues; the second number is the model's."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A request that was let into the queue; `target` is set if it was admitted at once."""

    request_id: int
    model_id: int
    target: Target | None
    prompt_fields: dict[str, str]
    """What the request says about the prompt, as the admins chose for its model."""


@transaction.atomic
def request_enter(call: Call, *, trace_id: str, generation_id: UUID | None) -> Entered:
    """Take a request into the queue of its model, and admit it at once if there is room.

    Raises: NoWorker, ModelLoading, ModelFailed, ProviderResting: nobody could serve it;
        QueueFull, PartyQueueFull: too many wait.
    """
    model = call.offered or LanguageModel.objects.filter(name=call.model).first()
    if model is None:
        raise NoWorker(model=call.model)
    _lock(model.pk)
    free, waiting, party = _free_places(model), _waiting(model), party_of(call.actor)
    _check_room(model, party, call, waiting)
    now = timezone.now()
    request = PoolRequest(
        trace_id=trace_id[:64],
        generation_id=generation_id,
        model=model,
        party=party,
        path=call.path,
        prefix_key=call.prefix_key,
        renewed_at=now,
    )
    worker = None if waiting else _with_room(free, call.prefix_key)
    if worker is not None:
        # The usual case, without the steps of those who wait.
        request.state, request.worker, request.admitted_at = RequestState.RUNNING, worker, timezone.now()
        request.save(force_insert=True)
        _take_place(free, worker)
        target: Target | None = selectors.target_at(free[worker.pk][0])
    else:
        request.save(force_insert=True)
        target = _admit(model, [*waiting, Waiting(request.pk, party)], free).get(request.pk)
    return Entered(request.pk, model.pk, target, selectors.prompt_fields_of(model))


@transaction.atomic
def queue_look(model_id: int, request_ids: Sequence[int]) -> dict[int, Target | Place]:
    """Admit whoever can be, and say of these requests which were, and where the others stand."""
    _lock(model_id)
    model = LanguageModel.objects.filter(pk=model_id).first()
    if model is None:
        return {}
    waiting = _waiting(model)
    with suppress(*NOBODY):  # a worker that is restarted comes back; how long one waits for it is the caller's affair
        if waiting:
            _admit(model, waiting, _free_places(model))
    seen: dict[int, Target | Place] = dict(_admitted(model, request_ids))
    wanted = set(request_ids) - seen.keys()
    if wanted:
        order, per_place_s = _order(model, _waiting(model)), _seconds_per_place(model)
        for number, request_id in enumerate(order, 1):
            if request_id in wanted:
                eta_s = None if per_place_s is None else round(number * per_place_s, 1)
                seen[request_id] = Place(number, eta_s)
    return seen


def _admitted(model: LanguageModel, request_ids: Sequence[int]) -> Iterator[tuple[int, Target]]:
    """Of these requests those that have a worker, also one that another process gave them."""
    running = PoolRequest.objects.filter(pk__in=request_ids, state=RequestState.RUNNING).select_related("worker")
    workers = {request.pk: request.worker for request in running if request.worker is not None}
    providers = {worker.pk for worker in workers.values() if worker.is_provider}
    hosted = HostedModel.objects.filter(model=model, worker__in=providers)
    hosts = {host.worker_id: host for host in hosted} if providers else {}
    return ((pk, selectors.target_of(worker, hosts.get(worker.pk))) for pk, worker in workers.items())


def requests_renew(request_ids: Sequence[int]) -> None:
    """This process is alive and these are its requests."""
    PoolRequest.objects.filter(pk__in=request_ids).exclude(state=RequestState.ENDED).update(renewed_at=timezone.now())


def _lock(model_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, model_id])


def _check_room(model: LanguageModel, party: str, call: Call, waiting: Sequence[Waiting]) -> None:
    limit = waiting_limit(call.actor)
    if sum(request.party == party for request in waiting) >= limit:
        raise PartyQueueFull(model=model.name, limit=limit, retry_after_s=_retry_after_s(model))
    if len(waiting) >= settings.QUEUE_MAX:
        raise QueueFull(model=model.name, limit=settings.QUEUE_MAX, retry_after_s=_retry_after_s(model))


def _retry_after_s(model: LanguageModel) -> int:
    return max(1, round(_seconds_per_place(model) or 1))


FreePlaces = dict[int, tuple[HostedModel, int]]
"""Per worker, whose row is locked: the model there, and how many more requests of it the worker takes."""


def _admit(model: LanguageModel, waiting: Sequence[Waiting], free: FreePlaces) -> dict[int, Target]:
    """Give free places to those whose turn it is."""
    n_free = sum(n for _, n in free.values())
    if not n_free:
        return {}
    order = _order(model, waiting)
    requests = PoolRequest.objects.in_bulk(order[:n_free])
    admitted: dict[int, Target] = {}
    for request in (requests[pk] for pk in order if pk in requests):
        worker = _with_room(free, request.prefix_key)
        if worker is None:
            break
        claimed = PoolRequest.objects.filter(pk=request.pk, state=RequestState.WAITING).update(
            state=RequestState.RUNNING, worker=worker, admitted_at=timezone.now()
        )
        if not claimed:
            continue  # its caller left while we looked
        _take_place(free, worker)
        admitted[request.pk] = selectors.target_at(free[worker.pk][0])
    return admitted


def _with_room(free: FreePlaces, prefix_key: str) -> Worker | None:
    workers = [host.worker for host, n in free.values() if n > 0]
    return worker_choose(workers, prefix_key=prefix_key) if workers else None


def _take_place(free: FreePlaces, worker: Worker) -> None:
    worker_count(worker, [host.worker for host, n in free.values() if n > 0])
    host, n_free = free[worker.pk]
    free[worker.pk] = (host, n_free - 1)


def _waiting(model: LanguageModel) -> list[Waiting]:
    return [Waiting(pk, party) for pk, party in _live(model, RequestState.WAITING).values_list("pk", "party")]


def _order(model: LanguageModel, waiting: Sequence[Waiting]) -> list[int]:
    if len(waiting) < 2:
        return [request.request_id for request in waiting]
    parties = {request.party for request in waiting}
    running = _live(model, RequestState.RUNNING).filter(party__in=parties).values("party").annotate(n=Count("pk"))
    recent = PoolRequest.objects.filter(
        model=model, party__in=parties, admitted_at__gt=timezone.now() - TURNS_REMEMBERED
    )
    turns = recent.values("party").annotate(last=Max("admitted_at"))
    return fair_order(
        waiting,
        {row["party"]: row["n"] for row in running},
        {row["party"]: row["last"].timestamp() for row in turns},
    )


def _free_places(model: LanguageModel) -> FreePlaces:
    """Raises: NoWorker, ModelLoading, ModelFailed.

    A worker that cools down is left out while another one serves, also if that one is full: else the queue of a busy
    pool would run through the places of a worker that is gone.
    """
    hosts = selectors.hosts_serving(model.name, for_update=True)
    now = timezone.now()
    hosts = [host for host in hosts if not host.worker.candidate(now).is_cooling] or hosts
    running = _live(model, RequestState.RUNNING).values("worker_id").annotate(n=Count("pk")).order_by()
    taken = {row["worker_id"]: row["n"] for row in running}
    return {
        host.worker_id: (host, _room(host.worker, max(0, host.slots_here - taken.get(host.worker_id, 0))))
        for host in hosts
    }


def _room(worker: Worker, n_free: int) -> int:
    """No more than a provider's limits leave, which hold for all of its models together."""
    room = selectors.room_of(worker, timezone.now())
    return n_free if room is None else min(n_free, room)


def _seconds_per_place(model: LanguageModel) -> float | None:
    """How long it takes on average until the next place becomes free, from the latest answers."""
    latest = PoolRequest.objects.filter(model=model, outcome=PoolRequest.ANSWERED).order_by("-pk")[:N_MEASURED]
    took = F("ended_at") - F("admitted_at")
    mean: timedelta | None = PoolRequest.objects.filter(pk__in=latest.values("pk")).aggregate(mean=Avg(took))["mean"]
    if mean is None:
        return None
    try:
        hosts = selectors.hosts_serving(model.name)
    except NOBODY:
        return None
    return mean.total_seconds() / max(1, sum(host.slots_here for host in hosts))


def _live(model: LanguageModel, state: RequestState) -> QuerySet[PoolRequest]:
    return PoolRequest.objects.filter(model=model, state=state, renewed_at__gt=timezone.now() - RENEWED_WITHIN)
