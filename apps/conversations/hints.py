"""Hints to an owner's open pages that a conversation changed. They may be lost: nothing depends on one.

Texts of answers never travel here, because a channel layer drops what a slow reader does not take.

A process listens once, to one group for all owners, and hands on to its own pages: hints are rare, and pages come and
go too often to open a subscription for each.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from apps.accounts.actors import Actor

logger = logging.getLogger(__name__)

GROUP = "chat.hints"
LISTEN_AGAIN_S = 5.0
SEND_WITHIN_S = 1.0
WAITING_MAX = 20
"""Hints that wait for one page; a page that takes none gets no more."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A conversation has this title now, and shows the path to this message."""

    conversation: UUID
    title: str
    leaf: UUID | None
    columns: tuple[UUID, ...] = ()
    """The last messages of branches that are shown side by side, `leaf` the first; empty: one is."""


async def hint_send(actor: Actor, hint: Hint) -> None:
    """Tell all pages of this actor. Without Redis they are not told, and see it at the next reload."""
    message = {
        "type": "hint",
        "owner": _owner(actor),
        "conversation": str(hint.conversation),
        "title": hint.title,
        "leaf": str(hint.leaf) if hint.leaf else "",
        "columns": [str(column) for column in hint.columns],
    }
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await get_channel_layer().group_send(GROUP, message)
    except (RedisError, OSError, TimeoutError) as exc:
        logger.warning("a hint about conversation %s was lost: %s", hint.conversation, exc)


async def hints(actor: Actor) -> AsyncGenerator[Hint, None]:
    """Yield what this actor's pages are told, for as long as it is iterated."""
    owner = _owner(actor)
    if owner is None:
        return
    waiting: asyncio.Queue[Hint] = asyncio.Queue(WAITING_MAX)
    switchboard = _switchboard()
    pages = switchboard.pages.setdefault(owner, set())
    pages.add(waiting)
    try:
        while True:
            yield await waiting.get()
    finally:
        pages.discard(waiting)
        if not pages and switchboard.pages.get(owner) is pages:
            del switchboard.pages[owner]


@dataclass
class _Switchboard:
    """The pages of this process by owner, and the task that listens for all of them."""

    pages: dict[str, set["asyncio.Queue[Hint]"]] = field(default_factory=dict)
    listener: "asyncio.Task[None] | None" = None

    async def listen(self) -> None:
        while True:
            try:
                await self._listen_until_broken()
            except (RedisError, OSError) as exc:
                logger.warning("no hints for now: %s", exc)
                await asyncio.sleep(LISTEN_AGAIN_S)

    async def _listen_until_broken(self) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # redis-py swallows a cancellation that comes while it connects, and then nothing would end this task.
            raise asyncio.CancelledError
        while True:
            self._hand_on(await layer.receive(channel))

    def _hand_on(self, message: dict[str, Any]) -> None:
        leaf = UUID(message["leaf"]) if message["leaf"] else None
        # A process of an older version knows nothing of columns.
        columns = tuple(UUID(column) for column in message.get("columns", ()))
        hint = Hint(UUID(message["conversation"]), message["title"], leaf, columns)
        for waiting in self.pages.get(message["owner"], ()):
            if not waiting.full():
                waiting.put_nowait(hint)


# A process has one event loop; the tests have many.
_switchboards: WeakKeyDictionary[asyncio.AbstractEventLoop, _Switchboard] = WeakKeyDictionary()


def _switchboard() -> _Switchboard:
    switchboard = _switchboards.setdefault(asyncio.get_running_loop(), _Switchboard())
    if switchboard.listener is None or switchboard.listener.done():
        switchboard.listener = asyncio.create_task(switchboard.listen(), name="listen for chat hints")
    return switchboard


def _owner(actor: Actor) -> str | None:
    if actor.user_id is not None:
        return f"user.{actor.user_id}"
    if actor.visitor_public_id is not None:
        return f"visitor.{actor.visitor_public_id.hex}"
    return None
