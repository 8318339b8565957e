"""A request is given to a worker, and ends there; what is learnt about the worker on the way."""

from collections.abc import Set
from random import SystemRandom

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from apps.workers import selectors
from apps.workers.breaker import Fault
from apps.workers.dispatch import Method, choose, virtual_time_after
from apps.workers.models import Worker
from apps.workers.target import Target

_random = SystemRandom()


@transaction.atomic
def assignment_begin(model_name: str, *, prefix_key: str = "", tried: Set[int] = frozenset()) -> Target | None:
    """Choose a worker that was not tried yet and count the request against it; None when all were.

    The rows stay locked from the choice to the count: of many requests at one instant, each sees those before it.

    Raises: NoWorker, ModelLoading, ModelFailed.
    """
    workers = {worker.pk: worker for worker in selectors.workers_serving(model_name, for_update=True)}
    now = timezone.now()
    candidates = [worker.candidate(now) for worker in workers.values() if worker.pk not in tried]
    chosen = choose(candidates, Method(settings.DISPATCH_METHOD), _random, key=prefix_key)
    if chosen is None:
        return None
    Worker.objects.filter(pk=chosen.worker_id).update(
        assigned_since_report=F("assigned_since_report") + 1, virtual_time=virtual_time_after(chosen, candidates)
    )
    return selectors.target_of(workers[chosen.worker_id])


@transaction.atomic
def assignment_end(worker_pk: int, *, has_answered: bool) -> None:
    """The request's stream has ended, however it ended. A whole answer speaks for the worker.

    A report in between has set the count to 0 and holds the request itself, so take it from there.
    """
    counted_here = Worker.objects.filter(pk=worker_pk, assigned_since_report__gt=0).update(
        assigned_since_report=F("assigned_since_report") - 1
    )
    if not counted_here:
        Worker.objects.filter(pk=worker_pk).update(reported_queue=Greatest(F("reported_queue") - 1, 0))
    if has_answered and (worker := Worker.objects.select_for_update().filter(pk=worker_pk).first()):
        worker.window = worker.window.with_answer(timezone.now())
        worker.cooling_until = None
        worker.save(update_fields=["recent_since", "recent_answers", "recent_faults", "cooling_until"])


@transaction.atomic
def fault_record(worker_pk: int, fault: Fault, words: str) -> None:
    """The worker itself failed: the admins see why, and if it fails often it cools down."""
    worker = Worker.objects.select_for_update().filter(pk=worker_pk).first()
    if worker is None:
        return
    now = timezone.now()
    worker.window = worker.window.with_fault(fault, now)
    if (cooling := worker.window.cooling_after(fault)) is not None:
        worker.cooling_until = now + cooling
    worker.last_error, worker.last_error_at = words[:500], now
    worker.save(
        update_fields=[
            "recent_since", "recent_answers", "recent_faults", "cooling_until", "last_error", "last_error_at",
        ]
    )  # fmt: skip
