"""The worker's HTTP surface: which address does what, who may, and how failures look.

Everything but /health and /ready needs the worker's access token.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gpu_worker.errors import WorkerError, invalid
from gpu_worker.protocol import MAX_BODY_BYTES, Json, ModelState, WorkerErrorCode, error_body
from gpu_worker.server.adapters import parse_adapter
from gpu_worker.server.completions import parse_completion
from gpu_worker.server.embeddings import EmbeddingCall, embedding_reply, parse_embedding
from gpu_worker.server.loading import parse_load
from gpu_worker.server.models import ServedModel
from gpu_worker.server.replies import EventStream, JsonReply, WholeAnswer, WholeReply, error_reply
from gpu_worker.server.schema import parse_chat, parse_tokenize
from gpu_worker.server.worker import Worker

OPEN_PATHS = {"/health", "/ready"}

UNLOAD_DRAIN_S = 10
"""For the running answers of a model that is being unloaded, unless the request says otherwise."""

MAX_DRAIN_S = 3600

LARGE_BODY_BYTES = 64 * 1024
"""JSON beyond this is parsed and checked off the event loop."""

Call = TypeVar("Call")


def build_app(worker: Worker) -> Starlette:
    """The ASGI application of one worker."""
    endpoints = Endpoints(worker)
    app = Starlette(
        routes=[
            Route("/health", endpoints.health),
            Route("/ready", endpoints.ready),
            Route("/metrics", endpoints.metrics),
            Route("/v1/models", endpoints.models),
            Route("/v1/adapters", endpoints.load_adapter, methods=["POST"]),
            Route("/v1/adapters/{name:path}", endpoints.unload_adapter, methods=["DELETE"]),
            Route("/v1/models/load", endpoints.load_model, methods=["POST"]),
            Route("/v1/models/{name:path}", endpoints.model),
            Route("/v1/models/{name:path}", endpoints.unload_model, methods=["DELETE"]),
            Route("/v1/tokenize", endpoints.tokenize, methods=["POST"]),
            Route("/v1/chat/completions", endpoints.chat, methods=["POST"]),
            Route("/v1/completions", endpoints.completions, methods=["POST"]),
            Route("/v1/embeddings", endpoints.embeddings, methods=["POST"]),
            Route("/v1/generations/{generation_id}/events", endpoints.events),
            Route("/v1/generations/{generation_id}", endpoints.cancel, methods=["DELETE"]),
        ],
        middleware=[Middleware(TokenGuard, access_token=worker.access_token)],
        exception_handlers=ERROR_HANDLERS,
    )
    # A redirect would send the token and the body a second time; the addresses are exact.
    app.router.redirect_slashes = False
    return app


class TokenGuard:
    """Lets nobody pass without the access token, before anything of the body is read."""

    def __init__(self, app: ASGIApp, access_token: str) -> None:
        self._app = app
        self._expected = f"Bearer {access_token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not self._is_allowed(scope):
            error = WorkerError(WorkerErrorCode.UNAUTHORISED, "the access token is missing or wrong")
            await error_reply(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._expected)


class Endpoints:
    """One method per address."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def health(self, request: Request) -> Response:
        return JsonReply({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 when all models are loaded and the site knows it; else 503 with each model's progress or error."""
        models = [asdict(report) for report in self._worker.pool.reports()]
        is_ready = self._worker.is_ready
        status = "draining" if self._worker.is_draining else "ready" if is_ready else "not ready"
        return JsonReply({"status": status, "models": models}, status_code=200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self._worker.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, request: Request) -> Response:
        served = [model for model in self._worker.pool.in_service if model.state is ModelState.LOADED]
        return JsonReply({"object": "list", "data": [_model_object(model) for model in served]})

    async def model(self, request: Request) -> Response:
        """One model, also while it loads or after it has failed."""
        model = self._worker.pool.get(request.path_params["name"])
        return JsonReply(_model_object(model) | {"report": asdict(model.report())})

    async def load_model(self, request: Request) -> Response:
        model = self._worker.load(await read_call(request, parse_load))
        return JsonReply(_model_object(model) | {"report": asdict(model.report())}, status_code=202)

    async def unload_model(self, request: Request) -> Response:
        """Replies when the model's memory is free."""
        await self._worker.pool.unload(request.path_params["name"], drain_s=_drain_s(request))
        return Response(status_code=204)

    async def load_adapter(self, request: Request) -> Response:
        """Replies when the adapter can be used."""
        served = await self._worker.pool.load_adapter(await read_call(request, parse_adapter))
        return JsonReply(asdict(served.report()), status_code=201)

    async def unload_adapter(self, request: Request) -> Response:
        self._worker.pool.unload_adapter(request.path_params["name"])
        return Response(status_code=204)

    async def tokenize(self, request: Request) -> Response:
        return JsonReply(await self._worker.tokenize(await read_call(request, parse_tokenize)))

    async def chat(self, request: Request) -> Response:
        call = await read_call(request, parse_chat)
        generation = await self._worker.start(call)
        # A generation with an id lives on without its reader; a plain call ends with it.
        on_left = partial(self._worker.cancel, generation, "disconnected") if call.generation_id is None else None
        if call.stream:
            return EventStream(generation, on_left=on_left)
        return WholeAnswer(generation, on_left=on_left)

    async def completions(self, request: Request) -> Response:
        call = await read_call(request, parse_completion)
        generation = await self._worker.start_completion(call)
        on_left = partial(self._worker.cancel, generation, "disconnected")
        if call.stream:
            return EventStream(generation, on_left=on_left)
        return WholeAnswer(generation, on_left=on_left)

    async def embeddings(self, request: Request) -> Response:
        call = await read_call(request, parse_embedding)
        return WholeReply(self._embed(call))

    async def _embed(self, call: EmbeddingCall) -> Response:
        vectors, n_tokens = await self._worker.embed(call)
        # Thousands of vectors take long to write down: not on the event loop.
        return await asyncio.to_thread(lambda: JsonReply(embedding_reply(call, vectors, n_tokens)))

    async def events(self, request: Request) -> Response:
        generation = self._worker.store.get(request.path_params["generation_id"].lower())
        return EventStream(generation, after=_after(request))

    async def cancel(self, request: Request) -> Response:
        generation = self._worker.store.get(request.path_params["generation_id"].lower())
        self._worker.cancel(generation, "cancelled")
        return Response(status_code=204)


def _model_object(model: ServedModel) -> Json:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "fastchat-site",
        "max_model_len": model.context_length,
        "parent": model.base_name,
    }


def _drain_s(request: Request) -> float:
    text = request.query_params.get("drain_s", str(UNLOAD_DRAIN_S))
    if not (text.isascii() and text.isdecimal()) or len(text) > 6 or int(text) > MAX_DRAIN_S:
        raise invalid("drain_s", f"expected whole seconds from 0 to {MAX_DRAIN_S}, found {text[:40]!r}")
    return float(text)


async def read_call(request: Request, parse: Callable[[Json], Call]) -> Call:
    """The body, checked by `parse`, which may run in a thread: a second of checks must not stop every stream.

    Raises: WorkerError: what `parse` raises; too large (noticed before all of it is read), or no JSON object.
    """
    body = await _read_body(request)
    if len(body) > LARGE_BODY_BYTES:
        return await asyncio.to_thread(lambda: parse(_object(body)))
    return parse(_object(body))


def _object(body: bytes) -> Json:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise WorkerError(WorkerErrorCode.INVALID_REQUEST, f"the body is not JSON: {exc}") from exc
    if not isinstance(parsed, dict):
        raise WorkerError(WorkerErrorCode.INVALID_REQUEST, "the body is not a JSON object")
    return parsed


async def _read_body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> WorkerError:
    return WorkerError(WorkerErrorCode.REQUEST_TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes")


def _after(request: Request) -> int:
    text = request.query_params.get("after", "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        raise invalid("after", f"expected a whole number from 0, found {text[:40]!r}")
    return int(text)


async def _worker_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, WorkerError)  # noqa: S101 - registered for this class
    return error_reply(exc)


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - registered for this class
    message = f"{request.method} {request.url.path}: {exc.detail}"
    body = error_body(WorkerErrorCode.INVALID_REQUEST, message)
    return JsonReply(body, status_code=exc.status_code, headers=exc.headers)


async def _left_while_sending(request: Request, exc: Exception) -> Response:
    """Nobody is there to read it; without this it would be logged as a failure of the worker."""
    return Response(status_code=400)


async def _unexpected(request: Request, exc: Exception) -> Response:
    """The server logs the exception with its traceback."""
    return error_reply(WorkerError(WorkerErrorCode.INTERNAL, "the worker failed; its log has the cause"))


ERROR_HANDLERS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    WorkerError: _worker_error,
    HTTPException: _http_error,
    ClientDisconnect: _left_while_sending,
    Exception: _unexpected,
}
"""How failures look, also those of other servers here."""
