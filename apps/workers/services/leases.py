"""A worker's lease: enrol, renew with a report of what it holds, leave."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.catalog.models import Kind
from apps.catalog.services import model_ensure
from apps.workers.addresses import AddressRefused, check_address
from apps.workers.errors import AddressNotAllowed, LeaseMalformed, WorkerRemoved
from apps.workers.models import DEFAULT_SLOTS, HostedModel, Worker
from apps.workers.services import enrolment
from gpu_worker.protocol import (
    LEASE_EXPIRES_S,
    LEASE_RENEW_S,
    LeaseGrant,
    LeaseRequest,
    ModelState,
    ProtocolError,
)

REPORTED = [
    "base_url", "sealed_token", "device", "version", "speed", "reported_queue", "assigned_since_report", "is_leaving",
    "lease_expires_at",
]  # fmt: skip
"""What a worker says about itself. Nothing else of its row is touched: admins may be editing it."""


@transaction.atomic
def lease_renew(*, worker_id: UUID, bearer: str, peer: str, body: object) -> LeaseGrant:
    """Enrol a worker with a token, or renew its lease with its secret, and take over its report of what it holds.

    `peer` is the address from which it calls, empty over a unix socket.

    Raises: CredentialWrong, TokenExpired, TokenUsed, WorkerAlive, WorkerRemoved, LeaseMalformed, AddressNotAllowed.
    """
    secret = None
    if bearer.startswith(enrolment.TOKEN_MARK):
        worker, secret = enrolment.worker_enrol(worker_id, bearer)
    else:
        worker = enrolment.worker_authenticate(worker_id, bearer)
    if worker.removed_at is not None:
        raise WorkerRemoved
    request = _checked(worker, peer, body)
    worker.base_url, worker.access_token = request.base_url, request.access_token
    worker.device, worker.version, worker.speed = request.device, request.version, request.speed
    worker.reported_queue, worker.assigned_since_report = request.queue_length, 0
    worker.is_leaving = request.draining
    worker.lease_expires_at = timezone.now() + timedelta(seconds=LEASE_EXPIRES_S)
    worker.save(update_fields=REPORTED)
    _report_store(worker, request)
    return LeaseGrant(expires_in_s=LEASE_EXPIRES_S, renew_in_s=LEASE_RENEW_S, drain=worker.is_drained, secret=secret)


def _checked(worker: Worker, peer: str, body: object) -> LeaseRequest:
    try:
        request = LeaseRequest.from_json(body)
    except ProtocolError as exc:
        raise LeaseMalformed(reason=str(exc)) from exc
    networks, allowed = settings.OUTBOUND_ALLOWED_NETWORKS, worker.allowed.split()
    try:
        check_address(request.base_url, peer=peer, allowed=allowed, allowed_networks=networks)
    except AddressRefused as exc:
        raise AddressNotAllowed(reason=str(exc)) from exc
    return request


def _report_store(worker: Worker, request: LeaseRequest) -> None:
    worker.hosted.exclude(model__name__in=[report.name for report in request.models]).delete()
    for report in request.models:
        HostedModel.objects.update_or_create(
            worker=worker,
            model=model_ensure(
                name=report.name,
                context_length=report.context_length,
                kind=Kind(report.kind),
                # Nobody knows before it is loaded.
                sees_images=report.sees_images if report.state is ModelState.LOADED else None,
            ),
            defaults={
                "state": str(report.state),
                "progress": report.progress,
                "error": report.error or "",
                "n_parameters": report.n_parameters,
                "dtype": report.dtype or "",
                "slots": report.slots or DEFAULT_SLOTS,
            },
        )


@transaction.atomic
def lease_end(*, worker_id: UUID, bearer: str) -> None:
    """The worker has gone: nothing is sent to it from now on. Its row stays for the admins. Raises: CredentialWrong."""
    worker = enrolment.worker_authenticate(worker_id, bearer)
    Worker.objects.filter(pk=worker.pk).update(lease_expires_at=Now(), reported_queue=0, assigned_since_report=0)
