"""A request is given to a worker, and ends there; what is learnt about the worker on the way."""

from collections.abc import Collection, Iterable, Sequence, Set
from datetime import datetime, timedelta
from random import SystemRandom

from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from apps.workers import selectors
from apps.workers.breaker import Fault
from apps.workers.call import WorkerPath
from apps.workers.dispatch import Method, choose, virtual_time_after
from apps.workers.errors import NoWorker, ProvidersFull
from apps.workers.models import MINUTE_FIELDS, HostedModel, PoolRequest, RequestState, Worker
from apps.workers.providers.options import refused
from apps.workers.target import Target

_random = SystemRandom()


def worker_choose(workers: Iterable[Worker], *, prefix_key: str) -> Worker:
    """Choose one of these by the site's method; there must be one."""
    now = timezone.now()
    by_pk = {worker.pk: worker for worker in workers}
    candidates = [worker.candidate(now) for worker in by_pk.values()]
    chosen = choose(candidates, Method(settings.DISPATCH_METHOD), _random, key=prefix_key)
    assert chosen is not None  # noqa: S101  # there are candidates
    return by_pk[chosen.worker_id]


def worker_count(worker: Worker, workers: Collection[Worker]) -> None:
    """Count a request against the worker chosen among `workers`, whose rows must be locked."""
    now = timezone.now()
    worker.virtual_time = virtual_time_after(worker.candidate(now), [other.candidate(now) for other in workers])
    worker.assigned_since_report += 1
    counted = ["assigned_since_report", "virtual_time"]
    if worker.is_provider:
        worker.minute = worker.minute.with_request(now)
        counted += MINUTE_FIELDS
    worker.save(update_fields=counted)


@transaction.atomic
def worker_assign(
    model_name: str, *, prefix_key: str = "", tried: Set[int] = frozenset(), besides: int | None = None
) -> Target | None:
    """Choose a worker that was not tried yet and count a request against it; None when all were.

    `besides`: the request itself, if it has a place at some worker already.
    The rows stay locked from the choice to the count: of many requests at one instant, each sees those before it.

    Raises: NoWorker, ModelLoading, ModelFailed, ProviderResting; ProvidersFull.
    """
    hosts = selectors.hosts_serving(model_name, for_update=True)
    untried = [host for host in hosts if host.worker_id not in tried]
    now = timezone.now()
    with_room = [host for host in untried if selectors.room_of(host.worker, now, besides=besides) != 0]
    if untried and not with_room:
        raise ProvidersFull(model=model_name, retry_after_s=1)
    return _assigned(with_room, prefix_key)


def _assigned(hosts: Collection[HostedModel], prefix_key: str = "") -> Target | None:
    if not hosts:
        return None
    by_worker = {host.worker: host for host in hosts}
    worker = worker_choose(by_worker, prefix_key=prefix_key)
    worker_count(worker, by_worker)
    return selectors.target_at(by_worker[worker])


@transaction.atomic
def counter_assign(model_name: str, *, tried: Set[int]) -> Target | None:
    """Choose a worker of ours that counts tokens; None when all were tried. Providers have no door for that.

    Raises: NoWorker, ModelLoading, ModelFailed; WorkerRefused where only providers serve the model.
    """
    try:
        hosts = selectors.hosts_serving(model_name, for_update=True, only_ours=True)
    except NoWorker as exc:
        if selectors.model_has_provider(model_name):
            raise refused("model", f"only providers serve it, and these have no {WorkerPath.TOKENIZE}") from exc
        raise
    return _assigned([host for host in hosts if host.worker_id not in tried])


@transaction.atomic
def request_reassign(request_id: int, model_name: str, *, prefix_key: str, tried: Set[int]) -> Target | None:
    """Give an admitted request to another worker, also to one without a free place: it has waited once already.

    A provider is given no more than its limits allow. None when all were tried. Raises: as `worker_assign`.
    """
    target = worker_assign(model_name, prefix_key=prefix_key, tried=tried, besides=request_id)
    if target is not None:
        PoolRequest.objects.filter(pk=request_id).update(worker_id=target.worker_id)
    return target


@transaction.atomic(savepoint=False)
def assignment_end(worker_pk: int, *, has_answered: bool) -> None:
    """The request's stream has ended, however it ended. A whole answer speaks for the worker.

    A report in between has set the count to 0 and holds the request itself, so take it from there.
    """
    worker = Worker.objects.select_for_update().filter(pk=worker_pk).first()
    if worker is None:
        return
    changed = ["assigned_since_report", "reported_queue"]
    if worker.assigned_since_report:
        worker.assigned_since_report -= 1
    else:
        worker.reported_queue = max(0, worker.reported_queue - 1)
    if has_answered:
        worker.window = worker.window.with_answer(timezone.now())
        worker.cooling_until = None
        changed += ["recent_since", "recent_answers", "recent_faults", "cooling_until"]
    worker.save(update_fields=changed)


@transaction.atomic
def request_end(
    request_id: int,
    *,
    outcome: str,
    is_settled: bool,
    has_answered: bool = False,
    n_tokens: int = 0,
    first_event_at: datetime | None = None,
    attempts: Sequence[dict[str, object]] = (),
) -> None:
    """The request is over, whatever became of it. Its place is free from now on. `attempts` are those that failed.

    `is_settled`: its worker's count was taken back already. `n_tokens`: what it used, as far as the worker told.
    """
    request = PoolRequest.objects.select_for_update().filter(pk=request_id).first()
    if request is None or request.state == RequestState.ENDED:
        return
    if request.state == RequestState.RUNNING and request.worker_id is not None and not is_settled:
        assignment_end(request.worker_id, has_answered=has_answered)
    if n_tokens and request.worker_id is not None:
        tokens_count(request.worker_id, n_tokens)
    request.state, request.ended_at, request.outcome = RequestState.ENDED, timezone.now(), outcome[:60]
    request.first_event_at, request.attempts = first_event_at, list(attempts)
    request.save(update_fields=["state", "ended_at", "outcome", "first_event_at", "attempts"])


@transaction.atomic(savepoint=False)
def tokens_count(worker_pk: int, n_tokens: int) -> None:
    """Tokens that a request used, for a provider with a limit on them."""
    limited = Worker.objects.select_for_update().filter(pk=worker_pk, max_tokens_per_minute__isnull=False)
    for worker in limited:
        worker.minute = worker.minute.with_tokens(timezone.now(), n_tokens)
        worker.save(update_fields=MINUTE_FIELDS)


def provider_rest(worker_pk: int, wait_s: int, words: str) -> None:
    """Ask this provider for nothing for so long. That is no fault of its, so the breaker hears nothing of it."""
    now = timezone.now()
    until = now + timedelta(seconds=wait_s)
    # Of several refusals at once the longest counts.
    Worker.objects.filter(pk=worker_pk).update(
        rests_until=Greatest(F("rests_until"), Value(until)), last_error=words[:500], last_error_at=now
    )


@transaction.atomic
def fault_record(worker_pk: int, fault: Fault, words: str = "") -> None:
    """The worker itself failed: the admins see why, and if it fails often it cools down.

    Without `words` they see what they saw before: the reason is kept elsewhere.
    """
    worker = Worker.objects.select_for_update().filter(pk=worker_pk).first()
    if worker is None:
        return
    now = timezone.now()
    worker.window = worker.window.with_fault(fault, now)
    if (cooling := worker.window.cooling_after(fault)) is not None:
        worker.cooling_until = now + cooling
    if words:
        worker.last_error, worker.last_error_at = words[:500], now
    worker.save(
        update_fields=[
            "recent_since", "recent_answers", "recent_faults", "cooling_until", "last_error", "last_error_at",
        ]
    )  # fmt: skip
