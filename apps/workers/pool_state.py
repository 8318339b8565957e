"""The pool as it is now, for the page that shows it: a fixed number of queries, however many workers there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, F, Min, Q

from apps.workers.models import RENEWED_WITHIN, HostedModel, PoolRequest, RequestState, Worker
from apps.workers.selectors import workers_with_models
from gpu_worker.protocol import LEASE_EXPIRES_S

MEASURED = timedelta(minutes=10)
"""How far back answers count for the times that are shown."""

LEASE = timedelta(seconds=LEASE_EXPIRES_S)
REMEMBERED = timedelta(days=1)
"""For how long a worker is shown after it was heard of last."""

LAST = {"gone": 1, "removed": 2}
"""States of workers that are shown behind the others."""


@dataclass(frozen=True, slots=True)
class Recently:
    """A worker's answers of the last `MEASURED`; the times are means in seconds."""

    n_answers: int = 0
    first_text_s: float | None = None
    answer_s: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerNow:
    """One worker or provider. `heard_at`: when it told last how it is; `places`: requests that it may have at once."""

    worker: Worker
    state: str
    models: Sequence[HostedModel]
    n_running: int
    places: int
    heard_at: datetime | None
    heard_s: int
    cooling_s: int | None
    resting_s: int | None
    faults: dict[str, int]
    recently: Recently

    @property
    def percent(self) -> int:
        """Of its places, how many are taken."""
        return min(100, round(100 * self.n_running / self.places)) if self.places else 0

    @property
    def verbs(self) -> list[str]:
        """What an admin may do to it now."""
        if self.worker.removed_at is not None:
            return ["restore"]
        return ["undrain" if self.worker.is_drained else "drain", "remove"]


@dataclass(frozen=True, slots=True)
class ModelNow:
    """One model's queue in front of all its workers. `waits_s`: how long the first one has waited."""

    name: str
    n_running: int
    n_waiting: int
    waits_s: int | None


@dataclass(frozen=True, slots=True)
class PoolNow:
    """All of it."""

    at: datetime
    workers: Sequence[WorkerNow]
    models: Sequence[ModelNow]
    n_expected: int
    """Workers that were let in and have not come yet."""
    n_forgotten: int
    """Workers that were not heard of for `REMEMBERED`."""

    @property
    def n_serving(self) -> int:
        return sum(one.state == "serving" for one in self.workers)

    @property
    def n_running(self) -> int:
        return sum(model.n_running for model in self.models)

    @property
    def n_waiting(self) -> int:
        return sum(model.n_waiting for model in self.models)


def pool_now(now: datetime) -> PoolNow:
    """The workers, those that are here first, and the models that somebody waits for or is answered by; six queries."""
    remembered, expected = Q(lease_expires_at__gt=now - REMEMBERED), Q(base_url="")
    running, recently = _running(now), _recently(now)
    shown = [
        _worker(worker, running.get(worker.pk, 0), recently.get(worker.pk, Recently()), now)
        for worker in workers_with_models().filter(remembered).exclude(expected).order_by("pk")
    ]
    counts = Worker.objects.aggregate(
        n_expected=Count("pk", filter=remembered & expected), n_forgotten=Count("pk", filter=~remembered)
    )
    return PoolNow(now, sorted(shown, key=lambda one: LAST.get(one.state, 0)), _models(now), **counts)


def _worker(worker: Worker, n_running: int, recently: Recently, now: datetime) -> WorkerNow:
    models = list(worker.hosted.all())
    places = sum(worker.slots or hosted.slots for hosted in models)
    heard_at = worker.checked_at if worker.is_provider else worker.lease_expires_at - LEASE
    is_cooling = worker.cooling_until is not None and worker.cooling_until > now
    return WorkerNow(
        worker=worker,
        state=worker.state(now),
        models=models,
        n_running=n_running,
        places=min(places, worker.max_running or places),
        heard_at=heard_at,
        heard_s=max(0, _seconds(now, heard_at) or 0),
        cooling_s=_seconds(worker.cooling_until, now) if is_cooling else None,
        resting_s=_seconds(worker.resting_until(now), now),
        faults={str(fault): n for fault, n in worker.window.at(now).faults.items() if n},
        recently=recently,
    )


def _unfinished(now: datetime) -> Any:
    """Requests in the queue or at a worker whose process is alive."""
    states = [RequestState.WAITING, RequestState.RUNNING]
    return PoolRequest.objects.filter(state__in=states, renewed_at__gt=now - RENEWED_WITHIN).order_by()


def _running(now: datetime) -> dict[int, int]:
    rows = _unfinished(now).filter(state=RequestState.RUNNING).values_list("worker_id").annotate(Count("pk"))
    return dict(rows)


def _models(now: datetime) -> list[ModelNow]:
    waits = Q(state=RequestState.WAITING)
    rows = (
        _unfinished(now)
        .values("model__name")
        .annotate(
            n_running=Count("pk", filter=~waits),
            n_waiting=Count("pk", filter=waits),
            since=Min("created_at", filter=waits),
        )
    )
    return [
        ModelNow(row["model__name"], row["n_running"], row["n_waiting"], _seconds(now, row["since"]))
        for row in rows.order_by("model__name")
    ]


def _recently(now: datetime) -> dict[int, Recently]:
    answered = PoolRequest.objects.filter(created_at__gt=now - MEASURED, outcome=PoolRequest.ANSWERED).order_by()
    rows = answered.values("worker_id").annotate(
        n=Count("pk"), first=Avg(F("first_event_at") - F("admitted_at")), whole=Avg(F("ended_at") - F("admitted_at"))
    )
    return {row["worker_id"]: Recently(row["n"], _of(row["first"]), _of(row["whole"])) for row in rows}


def _seconds(later: datetime | None, earlier: datetime | None) -> int | None:
    return None if later is None or earlier is None else round((later - earlier).total_seconds())


def _of(took: timedelta | None) -> float | None:
    return None if took is None else took.total_seconds()
