"""The pool as rows: workers with their leases, what each one holds, and the requests to them."""

from apps.workers.models.enrolment import EnrolmentToken
from apps.workers.models.hosted import HostedModel, HostedState
from apps.workers.models.requests import RENEWED_WITHIN, PoolRequest, RequestState
from apps.workers.models.workers import DEFAULT_SLOTS, MAX_SLOTS, MINUTE_FIELDS, Provider, Worker, WorkerQuerySet

__all__ = [
    "DEFAULT_SLOTS",
    "MAX_SLOTS",
    "MINUTE_FIELDS",
    "RENEWED_WITHIN",
    "EnrolmentToken",
    "HostedModel",
    "HostedState",
    "PoolRequest",
    "Provider",
    "RequestState",
    "Worker",
    "WorkerQuerySet",
]
