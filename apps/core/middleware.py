"""A request id on every response, and the headers that keep a page from loading anything foreign.

Both are written for sync and async alike, so that Django adds no thread hop for them.
"""

import re
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from inspect import iscoroutinefunction

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from apps.core.networks import network_note

Handler = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")

_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
# The admin's theme works with Alpine.js, which evaluates expressions, and sets inline styles.
ADMIN_CONTENT_SECURITY_POLICY = CONTENT_SECURITY_POLICY.replace(
    "script-src 'self'", "script-src 'self' 'unsafe-eval' 'unsafe-inline'"
).replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


def _wrap(get_response: Handler, before: Callable[[HttpRequest], None], after: Callable[..., None]) -> Handler:
    if iscoroutinefunction(get_response):

        async def handle_async(request: HttpRequest) -> HttpResponseBase:
            before(request)
            response: HttpResponseBase = await get_response(request)
            after(request, response)
            return response

        return handle_async

    def handle(request: HttpRequest) -> HttpResponseBase:
        before(request)
        response = get_response(request)
        assert isinstance(response, HttpResponseBase)  # noqa: S101  # narrows the union for mypy
        after(request, response)
        return response

    return handle


def usable_request_id(given: str) -> str:
    """The caller's id if it is short and plain, else a new one."""
    return given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex


@sync_and_async_middleware
def request_id(get_response: Handler) -> Handler:
    """Take the caller's `X-Request-ID` if it is short and plain, else make one; send it back."""

    def before(request: HttpRequest) -> None:
        request_id_var.set(usable_request_id(request.headers.get("X-Request-ID", "")))

    def after(request: HttpRequest, response: HttpResponseBase) -> None:
        response["x-request-id"] = request_id_var.get()

    return _wrap(get_response, before, after)


@sync_and_async_middleware
def client_network(get_response: Handler) -> Handler:
    """Note from which network a request comes, for bans."""

    def before(request: HttpRequest) -> None:
        network_note(request.META)

    def after(request: HttpRequest, response: HttpResponseBase) -> None:
        return None

    return _wrap(get_response, before, after)


@sync_and_async_middleware
def security_headers(get_response: Handler) -> Handler:
    """Set a content security policy without inline code, and forbid content sniffing and device features."""

    def before(request: HttpRequest) -> None:
        return None

    def after(request: HttpRequest, response: HttpResponseBase) -> None:
        policy = ADMIN_CONTENT_SECURITY_POLICY if request.path.startswith("/admin/") else CONTENT_SECURITY_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")

    return _wrap(get_response, before, after)
