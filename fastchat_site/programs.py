"""Django for programs: the paths at which a key or a secret is shown, without what is there for browsers.

Django runs the steps of its middlewares in a thread, thirteen hops for a request. What remains here only computes, and
stays on the event loop.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware

from apps.core.middleware import request_id, security_headers

PATHS = ("/v1/", "/api/v1/", "/internal/")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _OnTheLoop:
    """Before a middleware of Django's that computes and waits for nothing: no hops to a thread."""

    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]
    process_request: Callable[[HttpRequest], HttpResponseBase | None]
    process_response: Callable[[HttpRequest, HttpResponseBase], HttpResponseBase]

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.process_request(request)
        if response is None:
            response = await self.get_response(request)
        return self.process_response(request, response)


class _Security(_OnTheLoop, SecurityMiddleware):  # type: ignore[misc]  # as Django calls them, which its stubs widen
    pass


class _Common(_OnTheLoop, CommonMiddleware):  # type: ignore[misc]  # as above
    pass


class Programs(ASGIHandler):
    """The site's URLs behind a shorter chain than `settings.MIDDLEWARE`; it has no hooks for views and exceptions."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[object] = []
        self._template_response_middleware: list[object] = []
        self._exception_middleware: list[object] = []
        chain: Any = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]  # not in stubs
        for middleware in (_Common, security_headers, _Security, request_id):
            chain = convert_exception_to_response(middleware(chain))
        self._middleware_chain = chain


def by_path(programs: App, pages: App) -> App:
    """One application of two."""

    async def http(scope: Scope, receive: Receive, send: Send) -> None:
        await (programs if scope["path"].startswith(PATHS) else pages)(scope, receive, send)

    return http
