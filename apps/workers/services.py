"""Writes to the pool: leases, assignments, failures. What a worker serves over HTTP is `relay`'s and `client`'s."""

import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from apps.catalog.services import model_ensure
from apps.workers.errors import EnrolmentClosed, LeaseMalformed, TokenWrong, WorkerRemoved
from apps.workers.models import HostedModel, Worker
from gpu_worker.protocol import (
    LEASE_EXPIRES_S,
    LEASE_RENEW_S,
    LeaseGrant,
    LeaseRequest,
    ModelKind,
    ProtocolError,
)

COOLING_S = 10
"""A worker that could not be reached is passed over for this long while another one can serve."""


def enrolment_check(bearer: str) -> None:
    """Raises: EnrolmentClosed, TokenWrong."""
    if not settings.ENROLMENT_TOKEN:
        raise EnrolmentClosed
    if not secrets.compare_digest(bearer.encode(), settings.ENROLMENT_TOKEN.encode()):
        raise TokenWrong


@transaction.atomic
def lease_renew(*, worker_id: UUID, body: object) -> LeaseGrant:
    """Enrol a worker or renew its lease, and take over its report of what it holds.

    Raises: LeaseMalformed, WorkerRemoved.
    """
    try:
        request = LeaseRequest.from_json(body)
    except ProtocolError as exc:
        raise LeaseMalformed(reason=str(exc)) from exc
    worker, _ = Worker.objects.update_or_create(
        public_id=worker_id,
        defaults={
            "base_url": request.base_url,
            "access_token": request.access_token,
            "device": request.device,
            "version": request.version,
            "speed": request.speed,
            "reported_queue": request.queue_length,
            "assigned_since_report": 0,
            "is_leaving": request.draining,
            "lease_expires_at": timezone.now() + timedelta(seconds=LEASE_EXPIRES_S),
        },
    )
    if worker.removed_at is not None:
        raise WorkerRemoved
    _report_store(worker, request)
    return LeaseGrant(expires_in_s=LEASE_EXPIRES_S, renew_in_s=LEASE_RENEW_S, drain=worker.is_drained)


def _report_store(worker: Worker, request: LeaseRequest) -> None:
    # A model that makes vectors cannot answer: it is not offered for chats, so it does not enter the catalog.
    reports = [report for report in request.models if report.kind is ModelKind.TEXT]
    worker.hosted.exclude(model__name__in=[report.name for report in reports]).delete()
    for report in reports:
        HostedModel.objects.update_or_create(
            worker=worker,
            model=model_ensure(name=report.name, context_length=report.context_length),
            defaults={
                "state": str(report.state),
                "progress": report.progress,
                "error": report.error or "",
                "n_parameters": report.n_parameters,
                "dtype": report.dtype or "",
            },
        )


def lease_end(*, worker_id: UUID) -> None:
    """The worker has gone: nothing is sent to it from now on. Its row stays for the admins."""
    Worker.objects.filter(public_id=worker_id).update(lease_expires_at=Now(), reported_queue=0, assigned_since_report=0)


def assignment_begin(worker_pk: int) -> None:
    """Count a request at once, so that the next dispatch sees it before the worker's next report."""
    Worker.objects.filter(pk=worker_pk).update(assigned_since_report=F("assigned_since_report") + 1)


def assignment_end(worker_pk: int) -> None:
    """The request's stream has ended, however it ended.

    A report in between has set the count to 0 and holds the request itself, so take it from there.
    """
    counted_here = Worker.objects.filter(pk=worker_pk, assigned_since_report__gt=0).update(
        assigned_since_report=F("assigned_since_report") - 1
    )
    if not counted_here:
        Worker.objects.filter(pk=worker_pk).update(reported_queue=Greatest(F("reported_queue") - 1, 0))


def failure_record(worker_pk: int, error: str) -> None:
    """Remember that the worker itself failed: it cools down, and the admins see why."""
    now = timezone.now()
    Worker.objects.filter(pk=worker_pk).update(
        cooling_until=now + timedelta(seconds=COOLING_S), last_error=error[:500], last_error_at=now
    )


def success_record(worker_pk: int) -> None:
    """The worker answered, so it no longer cools down."""
    Worker.objects.filter(pk=worker_pk, cooling_until__isnull=False).update(cooling_until=None)


def worker_drain(worker: Worker, *, is_drained: bool) -> None:
    """Take a worker out of dispatch or put it back. It goes on with what it has."""
    Worker.objects.filter(pk=worker.pk).update(is_drained=is_drained)


def worker_remove(worker: Worker) -> None:
    """Send nothing to this worker any more and refuse its lease, until it is restored."""
    Worker.objects.filter(pk=worker.pk).update(removed_at=timezone.now())


def worker_restore(worker: Worker) -> None:
    """Let a removed worker renew its lease again."""
    Worker.objects.filter(pk=worker.pk).update(removed_at=None)
