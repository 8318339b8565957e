"""Lease requests as a worker sends them."""

import uuid
from typing import Any

from django.test import Client

from apps.workers.services import enrolment
from gpu_worker.protocol import LeaseRequest, ModelReport, ModelState

SECRET = "a-secret-that-tests-register-by-hand-0123456789"
HEADERS = {"Authorization": f"Bearer {SECRET}"}


def lease_body(*models: ModelReport, **changes: Any) -> dict[str, Any]:
    request = LeaseRequest(
        protocol=1,
        base_url="http://127.0.0.1:9",
        access_token="worker-secret",
        device="cpu",
        speed=1.0,
        queue_length=0,
        version="0.1.0",
        models=list(models),
    )
    return request.to_json() | changes


def put_lease(client: Client, worker_id: uuid.UUID, body: Any, headers: dict[str, str] | None = None) -> Any:
    """As a worker that is registered by hand, unless other headers are given."""
    url = f"/internal/workers/{worker_id}/lease"
    if headers is None:
        enrolment.worker_register(worker_id=worker_id, secret=SECRET, allowed="")
    return client.put(url, body, content_type="application/json", headers=HEADERS if headers is None else headers)


def loaded(name: str) -> ModelReport:
    return ModelReport(name=name, state=ModelState.LOADED, context_length=1024)


def loading(name: str, progress: float) -> ModelReport:
    return ModelReport(name=name, state=ModelState.LOADING, progress=progress)


def failed(name: str, error: str) -> ModelReport:
    return ModelReport(name=name, state=ModelState.FAILED, error=error)
