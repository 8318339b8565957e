"""The door to providers: one request at a time, over the site's own HTTP client. It knows neither dispatch nor retries.

A key travels in a header to the address that it was given for, and nowhere else: no redirect is followed. A stream
without news sends heartbeats, so that whoever reads it knows that it is alive.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, assert_never
from uuid import UUID

import httpx

from apps.core.middleware import request_id_var
from apps.core.outbound import http_client
from apps.core.texts import clean_json, strict_json
from apps.workers.breaker import Fault
from apps.workers.call import WorkerPath
from apps.workers.errors import AnswerUnreadable, ProviderResting, WorkerMismatch
from apps.workers.events import HEARTBEAT, WorkerEvent
from apps.workers.providers.chat_completions import ChatCompletions, ChunkReader, is_list_of_models
from apps.workers.providers.continuing import asked_to_go_on
from apps.workers.providers.event_stream import EventStream
from apps.workers.providers.failures import REST_WITHOUT_ACCESS_S, raise_for, raise_in_stream
from apps.workers.providers.kinds import KINDS, Auth, Kind, Language
from apps.workers.providers.messages import API_VERSION, Messages
from apps.workers.providers.messages_answer import EventReader
from apps.workers.providers.reading import Misread, fields
from apps.workers.target import Target, Upstream
from apps.workers.transport import WHOLE_ANSWER_LIMIT_S, TransportFailed, read_out, transport_failed
from gpu_worker.protocol import HEARTBEAT_S, FinishReason

Json = dict[str, Any]
Reader = ChunkReader | EventReader

CONNECT_TIMEOUT_S = 10.0
SILENCE_S = 600.0
"""Providers send nothing while a model reads a long prompt or thinks."""
MAX_ANSWER_BYTES = 128 * 1024 * 1024
LIST_WITHIN_S, MAX_LIST_BYTES = 20.0, 8 * 1024 * 1024
REFUSAL_WITHIN_S, MAX_REFUSAL_BYTES = 10.0, 64 * 1024
_NOT_THEIRS = (KeyError, TypeError, ValueError, AttributeError, RecursionError, httpx.DecodingError)

_running: dict[UUID, asyncio.Event] = {}
"""Streams of this process that somebody may stop, by generation. A provider has no door for that."""


async def completion_stream(
    target: Target, upstream: Upstream, path: WorkerPath, body: Json
) -> AsyncGenerator[WorkerEvent, None]:
    """Yield the events of an answer in the form of our own workers. Closing it ends the answer at the provider.

    Raises: WorkerRefused, naming an option that it cannot honour; what `failures` makes of its errors; TransportFailed.
    """
    stopped = asyncio.Event()
    generation_id = UUID(body["generation_id"]) if "generation_id" in body else None
    if generation_id is not None:
        _running[generation_id] = stopped
    try:
        async with aclosing(_paced(_chunks(target, upstream, path, body), stopped)) as events:
            async for event in events:
                yield event
    finally:
        if generation_id is not None:
            _running.pop(generation_id, None)


async def completion(target: Target, upstream: Upstream, path: WorkerPath, body: Json) -> Json:
    """Ask for a whole answer. Raises: as `completion_stream`."""
    language, request = _asking(target, upstream, path, body, limit_s=WHOLE_ANSWER_LIMIT_S)
    async with _response(request, target) as response:
        content = await _read(response, MAX_ANSWER_BYTES)
        try:
            return language.whole(_told(content.decode()))
        except _NOT_THEIRS as exc:
            raise _nonsense(exc, len(content)) from exc


def generation_stop(generation_id: UUID) -> None:
    """End an answer if this process reads it. The process that does is told by the answer's row."""
    if (stopped := _running.get(generation_id)) is not None:
        stopped.set()


async def models_list(target: Target) -> None:
    """Ask for the list of models, which costs nothing and shows that address and key are right.

    Raises: what `failures` makes of its errors, WorkerMismatch also if what comes is none; TransportFailed.
    """
    assert target.upstream is not None  # noqa: S101  # only providers have kinds
    request = _request(target, KINDS[target.upstream.kind], "/models", None, httpx.Timeout(CONNECT_TIMEOUT_S))
    try:
        async with asyncio.timeout(LIST_WITHIN_S), _response(request, target) as response:
            content = await _read(response, MAX_LIST_BYTES)
    except TimeoutError as exc:
        raise TransportFailed(f"no whole list of models within {LIST_WITHIN_S:g} s", 0, fault=Fault.LOST) from exc
    if not is_list_of_models(content):
        raise WorkerMismatch(reason="what it answers is no list of models; is the address right?")


async def _chunks(
    target: Target, upstream: Upstream, path: WorkerPath, body: Json
) -> AsyncGenerator[WorkerEvent, None]:
    language, request = _asking(target, upstream, path, body, limit_s=SILENCE_S)
    reader, n_events = language.reader(), 0
    async with _response(request, target) as response:
        pieces = response.aiter_bytes()
        try:
            async for data in _events(pieces, reader):
                if data == "[DONE]":
                    break
                told = fields(_told(data), "an event")
                if told.get("error") or told.get("type") == "error":
                    raise_in_stream(told, secret=target.access_token)
                for chunk in reader.read(told):
                    n_events += 1
                    yield _event(n_events, chunk)
                if reader.is_over:
                    break
            else:
                if not reader.is_finished:
                    raise TransportFailed("the stream ended early", n_events, fault=Fault.LOST)
            last = reader.end()
            await read_out(pieces)
        except httpx.TransportError as exc:
            raise transport_failed(exc, n_events) from exc
        except _NOT_THEIRS as exc:
            raise _nonsense(exc, n_bytes=0) from exc
    for chunk in last:
        n_events += 1
        yield _event(n_events, chunk)


async def _events(pieces: AsyncIterator[bytes], reader: Reader) -> AsyncIterator[str]:
    """The data of each event. After an answer has told why it ended, a connection that breaks is an end too."""
    stream = EventStream()
    try:
        async for piece in pieces:
            for data in stream.feed(piece):
                yield data
    except httpx.TransportError:
        if not reader.is_finished:
            raise


async def _paced(
    events: AsyncGenerator[WorkerEvent, None], stopped: asyncio.Event
) -> AsyncGenerator[WorkerEvent, None]:
    """The events, with heartbeats while none comes; ends with a chunk that says so when it is stopped."""
    stopping = asyncio.ensure_future(stopped.wait())
    coming: asyncio.Future[WorkerEvent] | None = None
    number, last = 0, None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events))
            both: set[asyncio.Future[Any]] = {coming, stopping}
            done, _ = await asyncio.wait(both, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if stopping in done:
                yield _event(number + 1, _cancelled(last))
                return
            if not done:
                yield HEARTBEAT
                continue
            try:
                event, coming = coming.result(), None
            except StopAsyncIteration:
                return
            number, last = event.number, event.body
            yield event
    finally:
        stopping.cancel()
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await coming
        await events.aclose()


def _asking(
    target: Target, upstream: Upstream, path: WorkerPath, body: Json, *, limit_s: float
) -> tuple[ChatCompletions | Messages, httpx.Request]:
    """How to read the answer, and the request for it. Raises: WorkerRefused; WorkerMismatch; as `_request`."""
    if not upstream.model:
        raise WorkerMismatch(reason="the model is no longer mapped to one of this provider's")
    kind = KINDS[upstream.kind]
    language = _language(kind, path, body["model"])
    timeout = httpx.Timeout(limit_s, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S)
    asked = language.body(asked_to_go_on(body, kind), upstream)
    return language, _request(target, kind, language.address, asked, timeout)


def _language(kind: Kind, path: WorkerPath, model: str) -> ChatCompletions | Messages:
    match kind.language:
        case Language.CHAT_COMPLETIONS:
            return ChatCompletions(kind, path, model)
        case Language.MESSAGES:
            return Messages(kind, path, model)
        case _:
            assert_never(kind.language)


def _request(target: Target, kind: Kind, address: str, body: Json | None, timeout: httpx.Timeout) -> httpx.Request:
    """Raises: ProviderResting when there is no key to send."""
    headers: dict[str, str] = {}
    if target.access_token:
        headers[kind.auth] = f"Bearer {target.access_token}" if kind.auth is Auth.BEARER else target.access_token
    elif kind.is_vendor:
        problem = "the provider's key is not set, or cannot be decrypted"
        raise ProviderResting(model="the model", retry_after_s=REST_WITHOUT_ACCESS_S, reason=problem)
    if kind.language is Language.MESSAGES:
        headers["anthropic-version"] = API_VERSION
    if not kind.is_vendor:
        headers["X-Request-ID"] = request_id_var.get()
    return http_client().build_request(
        "GET" if body is None else "POST", target.base_url + address, json=body, headers=headers, timeout=timeout
    )


@asynccontextmanager
async def _response(request: httpx.Request, target: Target) -> AsyncIterator[httpx.Response]:
    """A reply that is no refusal. Raises: what `failures` makes of one; TransportFailed."""
    try:
        response = await http_client().send(request, stream=True)
    except httpx.TransportError as exc:
        raise transport_failed(exc, 0) from exc
    try:
        if not response.is_success:
            raise_for(response.status_code, await _refusal(response), response.headers, secret=target.access_token)
        yield response
    finally:
        await response.aclose()


async def _refusal(response: httpx.Response) -> bytes:
    """As much of a refusal's body as comes: the status says enough, and nobody waits for words without end."""
    content = b""
    with suppress(TimeoutError, httpx.TransportError, httpx.DecodingError):
        async with asyncio.timeout(REFUSAL_WITHIN_S):
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MAX_REFUSAL_BYTES:
                    break
    return content


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    pieces, n_bytes = [], 0
    try:
        async for piece in response.aiter_bytes():
            n_bytes += len(piece)
            if n_bytes > max_bytes:
                raise AnswerUnreadable(reason=f"the provider's answer has more than {max_bytes} bytes", n_bytes=n_bytes)
            pieces.append(piece)
    except httpx.TransportError as exc:
        raise transport_failed(exc, 0) from exc
    except httpx.DecodingError as exc:
        raise _nonsense(exc, n_bytes) from exc
    return b"".join(pieces)


def _told(text: str) -> Any:
    """What a provider says, with nothing in it that cannot be stored or written again. Raises: ValueError."""
    told = strict_json(text)
    # Only an escape can bring a NUL or half of a surrogate pair.
    return clean_json(told) if "\\u" in text else told


def _event(number: int, chunk: Json) -> WorkerEvent:
    return WorkerEvent(number=number, data=json.dumps(chunk), body=chunk)


def _cancelled(last: Json | None) -> Json:
    """The chunk with which an answer ends that was stopped here. Nobody tells the usage of that."""
    envelope = {key: value for key, value in (last or {}).items() if key != "usage"}
    choice = {"index": 0, "delta": {}, "finish_reason": str(FinishReason.CANCELLED)}
    return envelope | {"choices": [choice]}


def _nonsense(exc: Exception, n_bytes: int) -> AnswerUnreadable:
    found = exc if isinstance(exc, Misread) else type(exc).__name__
    return AnswerUnreadable(reason=f"the provider does not speak its language: {found}", n_bytes=n_bytes)
