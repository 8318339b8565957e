"""The internal door for workers: one lease, put and deleted. See `gpu_worker/protocol.py`."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.client_ip import client_ip
from apps.core.errors import SiteError
from apps.workers.services import leases


class LeaseView(APIView):
    """`PUT` enrols or renews, `DELETE` leaves."""

    def put(self, request: Request, worker_id: UUID) -> Response:
        grant = leases.lease_renew(
            worker_id=worker_id, bearer=_bearer(request), peer=client_ip(request.META), body=request.data
        )
        return Response(grant.to_json())

    def delete(self, request: Request, worker_id: UUID) -> Response:
        leases.lease_end(worker_id=worker_id, bearer=_bearer(request))
        return Response(status=204)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, SiteError):
            return Response({"error": {"code": exc.code, "message": exc.message}}, status=exc.http_status)
        return super().handle_exception(exc)


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
