"""A response that is streamed to whoever asked: the chat's chunks become events, and its row follows them.

It is cancelled by leaving. The end is kept before it is told, so that whoever hears it finds the response.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from uuid import uuid4

from django.db import InterfaceError, OperationalError

from apps.core.renewal import Renewal
from apps.core.threads import in_thread
from apps.openai_api.errors import api_error
from apps.openai_api.models import ResponseState, StoredResponse
from apps.openai_api.moderation import answer_gate
from apps.openai_api.opening import Opening
from apps.openai_api.responses.assembly import Assembly, Outcome
from apps.openai_api.responses.preparing import Prepared
from apps.openai_api.responses.request import refused_here
from apps.openai_api.responses.shapes import opening_object, response_id, response_object
from apps.openai_api.services import responses
from apps.openai_api.shapes import Json
from apps.openai_api.sse import comment
from apps.workers import relay
from apps.workers.errors import WorkerRefused
from apps.workers.events import HEARTBEAT, WorkerEvent

KEEP_DELAYS_S = (0.5, 1.0, 2.0, 4.0)
"""A database that is away for some seconds must not lose what was paid for."""

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

logger = logging.getLogger(__name__)

_streamed = Renewal(responses.responses_renew, every_s=responses.LEASE_S / 4, what="streamed responses")
_leaving: set["asyncio.Task[None]"] = set()
"""Kept here because an event loop has only weak references to its tasks."""


def assembly_of(response: StoredResponse) -> Assembly:
    return Assembly(response.public_id, is_background=response.is_background)


def framed(events: Iterable[Json]) -> bytes:
    """Source: OpenAI API reference, "Streaming events": the type of an event is also its name."""
    return "".join(f"event: {event['type']}\ndata: {_json(event)}\n\n" for event in events).encode()


async def answer_whole(prepared: Prepared, *, is_kept: bool) -> Json:
    """Ask, read to the end, keep it, and return the response object. Raises: what the relay raises."""
    response = prepared.response
    reference = response_id(response.public_id) if is_kept else None
    assembly, gate = assembly_of(response), answer_gate(prepared.call.actor, reference=reference)
    try:
        async with aclosing(gate.events(relay.generate(prepared.call))) as events:
            async for event in events:
                if event is not HEARTBEAT:
                    assembly.feed(event.body)
    except WorkerRefused as exc:
        raise refused_here(exc, prepared.prompt) from exc
    finally:
        await gate.close()
    _, outcome = assembly.close()
    if is_kept:
        await tried(partial(responses.response_keep, response, outcome))
    else:
        responses.response_fill(response, outcome)
    return response_object(response)


async def begin(response: StoredResponse) -> None:
    """Keep a response that will be streamed, so that it is found meanwhile."""
    await in_thread(responses.response_begin, response, runner=uuid4())


async def frames(prepared: Prepared, opening: Opening) -> AsyncGenerator[bytes, None]:
    """The events of a response, framed. One that was kept (see `begin`) is ended in the database too."""
    response = prepared.response
    assembly, is_kept = assembly_of(response), response.pk is not None
    if is_kept:
        _streamed.keep(response.pk)
    closing: list[Json] = []
    outcome: Outcome | None = None
    is_written = False
    try:
        yield framed(assembly.opening(opening_object(response)))
        async for told in _told(opening):
            match told:
                case str():
                    yield comment(told)
                case WorkerEvent():
                    if events := assembly.feed(told.body):
                        yield framed(events)
                case WorkerRefused():
                    closing, outcome = assembly.close(error=error_of(refused_here(told, prepared.prompt)))
                case Exception():
                    closing, outcome = assembly.close(error=error_of(told))
        if outcome is None:
            closing, outcome = assembly.close()
        if is_kept:
            await _kept_in_the_end(response, outcome)
            is_written = True
        else:
            responses.response_fill(response, outcome)
        yield framed([*closing, assembly.terminal(outcome.state, response_object(response))])
    finally:
        await opening.aclose()
        if is_kept:
            _streamed.let_go(response.pk)
            if not is_written:
                await _left(response, outcome or assembly.close(ResponseState.CANCELLED)[1])


async def _told(opening: Opening) -> AsyncGenerator[WorkerEvent | str | Exception, None]:
    """Events and comments, and as the last one what went wrong: the status line has gone out with 200."""
    try:
        async for words in opening.comments():
            yield words
        yield await opening.first()
        async for event in opening.events:
            yield "heartbeat" if event is HEARTBEAT else event
    except Exception as exc:
        yield exc


def error_of(exc: Exception) -> Json:
    """An error as a response has it. Source: OpenAI API reference, "The response object", `error`."""
    error = api_error(exc)
    code = "rate_limit_exceeded" if error.status == 429 else "invalid_prompt" if error.status < 500 else "server_error"
    return {"code": code, "message": error.body["error"]["message"]}


async def _left(response: StoredResponse, outcome: Outcome) -> None:
    """In a task of its own, because whoever asked is leaving."""
    task = asyncio.create_task(_kept_in_the_end(response, outcome))
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)
    await asyncio.wait({task}, timeout=KEEP_DELAYS_S[-1])


async def _kept_in_the_end(response: StoredResponse, outcome: Outcome) -> None:
    try:
        await tried(partial(responses.response_end, response, outcome))
    except (OperationalError, InterfaceError):
        logger.error("the end of %s is not kept: the database is away", response)


async def tried(write: Callable[[], None]) -> None:
    """Raises: OperationalError, InterfaceError, when the database stays away."""
    for delay_s in KEEP_DELAYS_S:
        try:
            return await in_thread(write)
        except (OperationalError, InterfaceError) as exc:
            logger.warning("a response could not be kept, trying again: %s", exc)
        await asyncio.sleep(delay_s)
    return await in_thread(write)
