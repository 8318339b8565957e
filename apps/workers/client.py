"""The only code that talks to a worker. It speaks one request at a time and knows neither dispatch nor retries.

To our own workers it speaks the protocol; to providers `providers.calls` does.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import httpx

from apps.core.middleware import request_id_var
from apps.core.outbound import CONNECT_TIMEOUT_S, http_client
from apps.core.texts import clean_text
from apps.workers.breaker import Fault
from apps.workers.call import WorkerPath
from apps.workers.errors import (
    GenerationGone,
    PromptTooLong,
    RequestTooLarge,
    WorkerDied,
    WorkerInternal,
    WorkerMismatch,
    WorkerOverloaded,
    WorkerRefused,
)
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.providers import calls as providers
from apps.workers.sse import SseParser
from apps.workers.target import Target
from apps.workers.transport import WHOLE_ANSWER_LIMIT_S, TransportFailed, read_out, transport_failed
from gpu_worker.protocol import WorkerErrorCode

Json = dict[str, Any]

_BUSY = {WorkerErrorCode.OVERLOADED, WorkerErrorCode.SHUTTING_DOWN, WorkerErrorCode.MODEL_LOADING}


async def completion_stream(target: Target, path: WorkerPath, body: Json) -> AsyncGenerator[WorkerEvent, None]:
    """Start a completion and yield its events up to the end.

    Raises: TransportFailed; WorkerRefused, WorkerOverloaded, WorkerInternal as the worker says.
    """
    client = http_client()
    if target.upstream is not None:
        stream = providers.completion_stream(target, target.upstream, path, body)
    else:
        request = client.build_request("POST", f"{target.base_url}{path}", json=body, headers=_headers(target))
        stream = _events(client, request, after=0)
    async with aclosing(stream) as events:
        async for event in events:
            yield event


async def generation_events(target: Target, generation_id: UUID, *, after: int) -> AsyncGenerator[WorkerEvent, None]:
    """Attach to a generation and yield its events numbered above `after`.

    Raises: TransportFailed, GenerationGone, and what the worker reports.
    """
    if target.upstream is not None:
        raise GenerationGone  # a provider keeps no events
    client = http_client()
    url = f"{target.base_url}/v1/generations/{generation_id}/events"
    request = client.build_request("GET", url, params={"after": after}, headers=_headers(target))
    async with aclosing(_events(client, request, after=after)) as events:
        async for event in events:
            yield event


async def completion(target: Target, path: WorkerPath, body: Json) -> Json:
    """Ask for a whole answer at once. Raises: as `completion_stream`."""
    if target.upstream is not None:
        return await providers.completion(target, target.upstream, path, body)
    timeout = httpx.Timeout(WHOLE_ANSWER_LIMIT_S, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S)
    try:
        response = await http_client().post(
            f"{target.base_url}{path}", json=body, headers=_headers(target), timeout=timeout
        )
    except httpx.TransportError as exc:
        raise transport_failed(exc, after=0) from exc
    _raise_for(response.status_code, response.content, response.headers)
    try:
        return _object(response.content)
    except ValueError as exc:
        raise _nonsense(exc) from exc


async def generation_cancel(target: Target, generation_id: UUID) -> None:
    """Cancel a generation; one that has ended or is unknown needs no cancelling. Raises: WorkerDied."""
    if target.upstream is not None:
        providers.generation_stop(generation_id)
        return
    url = f"{target.base_url}/v1/generations/{generation_id}"
    try:
        response = await http_client().delete(url, headers=_headers(target))
    except httpx.TransportError as exc:
        raise WorkerDied from exc
    if response.status_code != 404:
        _raise_for(response.status_code, response.content, response.headers)


async def _events(client: httpx.AsyncClient, request: httpx.Request, after: int) -> AsyncGenerator[WorkerEvent, None]:
    try:
        response = await client.send(request, stream=True)
    except httpx.TransportError as exc:
        raise transport_failed(exc, after) from exc
    try:
        if response.status_code != 200:
            _raise_for(response.status_code, await response.aread(), response.headers)
        parser = SseParser()
        pieces = response.aiter_bytes()
        async for piece in pieces:
            for sent in parser.feed(piece):
                if sent.data == "[DONE]":
                    await read_out(pieces)
                    return
                if not sent.data:
                    yield HEARTBEAT
                    continue
                body = _object(sent.data)
                if "error" in body:
                    _raise_error(500, body["error"], retry_after="")
                # A plain call's events may come without numbers; then they are counted.
                after = sent.number or after + 1
                yield WorkerEvent(number=after, data=sent.data, body=body)
    except httpx.TransportError as exc:
        raise transport_failed(exc, after) from exc
    except ValueError as exc:
        raise _nonsense(exc) from exc
    finally:
        await response.aclose()
    # A stream that closes without [DONE] was cut, however politely.
    raise TransportFailed("the stream ended early", after, fault=Fault.LOST)


def _headers(target: Target) -> dict[str, str]:
    return target.headers | {"X-Request-ID": request_id_var.get()}


def _object(text: str | bytes) -> Json:
    """Raises: ValueError."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value


def _nonsense(exc: ValueError) -> WorkerInternal:
    return WorkerInternal(reason=f"it does not speak the protocol: {exc}")


def _raise_for(status: int, content: bytes, headers: httpx.Headers) -> None:
    if status < 400:
        return
    try:
        error = _object(content)["error"]
    except (ValueError, KeyError):
        error = {"message": f"HTTP {status} without an explanation", "code": None}
    _raise_error(status, error, retry_after=headers.get("Retry-After", ""))


def _raise_error(status: int, said: object, retry_after: str) -> None:
    # Some servers say no more than a text.
    error: Json = said if isinstance(said, dict) else {"message": said}
    code, reason = error.get("code"), clean_text(str(error.get("message")))
    if code == WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED:
        raise PromptTooLong(reason=reason, worker_code=code, param=error.get("param"))
    if code == WorkerErrorCode.GENERATION_NOT_FOUND:
        raise GenerationGone
    if code in _BUSY or status in {429, 503}:
        raise WorkerOverloaded(model="the model", retry_after_s=int(retry_after) if retry_after.isdigit() else 1)
    if code == WorkerErrorCode.REQUEST_TOO_LARGE or status == 413:
        raise RequestTooLarge(reason=reason, worker_code=WorkerErrorCode.REQUEST_TOO_LARGE, param=error.get("param"))
    if status in {400, 409, 422}:
        raise WorkerRefused(reason=reason, worker_code=code, param=error.get("param"))
    if status < 500:
        raise WorkerMismatch(reason=reason)
    raise WorkerInternal(reason=reason)
