"""A worker's lease: enrol, renew with a report of what it holds, leave."""

import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.catalog.models import Kind
from apps.catalog.services import model_ensure
from apps.workers.errors import EnrolmentClosed, LeaseMalformed, TokenWrong, WorkerRemoved
from apps.workers.models import HostedModel, Worker
from gpu_worker.protocol import (
    LEASE_EXPIRES_S,
    LEASE_RENEW_S,
    LeaseGrant,
    LeaseRequest,
    ProtocolError,
)


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
    worker.hosted.exclude(model__name__in=[report.name for report in request.models]).delete()
    for report in request.models:
        HostedModel.objects.update_or_create(
            worker=worker,
            model=model_ensure(name=report.name, context_length=report.context_length, kind=Kind(report.kind)),
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
