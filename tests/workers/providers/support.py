"""What tests of providers ask for, and what their server answers."""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from apps.accounts.actors import Actor
from apps.workers import relay
from apps.workers.call import Call
from apps.workers.events import WorkerEvent
from apps.workers.models import Worker
from tests.live import wait_until
from tests.workers.stand_in import Reply, StandIn, stream, whole

KEY = "sk-a-key-that-nobody-may-see-0123456789"
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
CALL = Call(Actor(), "tiny", BODY)
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def piece(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "theirs", "choices": [choice], **more}


def answer(*texts: str) -> Reply:
    events: list[object] = [piece(text) for text in texts]
    return stream(*events, piece("", "stop"), {"id": "x", "choices": [], "usage": USAGE}, "[DONE]")


def error(status: int, message: str, kind: str | None = None, **headers: str) -> Reply:
    return whole({"error": {"message": message, "type": kind, "code": kind}}, status, **headers)


async def events_of(call: Call = CALL, **more: Any) -> list[WorkerEvent]:
    async with aclosing(relay.generate(call, **more)) as events:
        return [event async for event in events]


async def text_of(call: Call = CALL) -> str:
    return "".join(event.text for event in await events_of(call))


async def fresh(worker: Worker) -> Worker:
    return await Worker.objects.aget(pk=worker.pk)


async def left_alone(server: StandIn, asking: Coroutine[Any, Any, object]) -> None:
    """Whoever asks goes away while the provider works on it."""
    task = asyncio.create_task(asking)
    await asyncio.to_thread(wait_until, lambda: server.n_running, what="the provider to be asked")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
