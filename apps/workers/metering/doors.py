"""The decorators that meter the relay's doors. What is settled is `meter`'s business."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from uuid import UUID

from apps.core.errors import SiteError
from apps.workers.call import Call
from apps.workers.events import WorkerEvent
from apps.workers.metering.meter import Meter, meter_adopt, meter_open
from apps.workers.target import Target

Json = dict[str, Any]
P = ParamSpec("P")
Generate = Callable[Concatenate[Call, P], AsyncGenerator[WorkerEvent, None]]
Complete = Callable[Concatenate[Call, P], Coroutine[Any, Any, Json]]
Follow = Callable[Concatenate[Target, UUID, P], AsyncGenerator[WorkerEvent, None]]


def metered_stream(generate: Generate[P]) -> Generate[P]:
    """Meter a function that yields a call's events. It finds `generation_id` among the keywords.

    The worker is always asked for the usage; whoever did not ask for it does not see the event that tells it.
    """

    @wraps(generate)
    async def metered(call: Call, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[WorkerEvent, None]:
        generation_id = cast("UUID | None", kwargs.get("generation_id"))
        meter, call = await meter_open(call, generation_id)
        shows_usage = generation_id is not None or _asks_for_usage(call)
        try:
            async with aclosing(generate(_asking_for_usage(call), *args, **kwargs)) as events:
                async for event in events:
                    if not meter.see(event) or shows_usage:
                        yield event
        except BaseException as exc:
            await _settle_broken(meter, exc, left=meter.left)
            raise
        await meter.ended()

    return metered


def metered_answer(complete: Complete[P]) -> Complete[P]:
    """Meter a function that returns a call's whole answer."""

    @wraps(complete)
    async def metered(call: Call, /, *args: P.args, **kwargs: P.kwargs) -> Json:
        meter, call = await meter_open(call, None)
        try:
            answer = await complete(call, *args, **kwargs)
        except BaseException as exc:
            await _settle_broken(meter, exc, left=meter.left_unheard)
            raise
        meter.see_answer(answer)
        await meter.ended()
        return answer

    return metered


def metered_follow(follow: Follow[P]) -> Follow[P]:
    """Meter the reading of an answer that another reader began: the usage that comes by settles it, once.

    What ends otherwise stays open: others may read it better.
    """

    @wraps(follow)
    async def metered(
        target: Target, generation_id: UUID, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[WorkerEvent, None]:
        meter = await meter_adopt(generation_id)
        try:
            async with aclosing(follow(target, generation_id, *args, **kwargs)) as events:
                async for event in events:
                    if meter is not None and meter.see(event):
                        await meter.ended()
                    yield event
        finally:
            if meter is not None:
                meter.release()

    return metered


async def _settle_broken(meter: Meter, exc: BaseException, *, left: Callable[[], Awaitable[None]]) -> None:
    match exc:
        case asyncio.CancelledError() | GeneratorExit():
            await left()
        case SiteError():
            await meter.failed(exc)
        case _:
            await meter.failed(SiteError())


def _asks_for_usage(call: Call) -> bool:
    options = call.body.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


def _asking_for_usage(call: Call) -> Call:
    options = call.body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        return call  # the worker refuses it, in its own words
    return replace(call, body=call.body | {"stream_options": (options or {}) | {"include_usage": True}})
