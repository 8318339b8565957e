"""Hints to an owner's open pages that a conversation changed. They may be lost: nothing depends on one.

Texts of answers never travel here, because a channel layer drops what a slow reader does not take.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from apps.accounts.actors import Actor

logger = logging.getLogger(__name__)

LISTEN_AGAIN_S = 5.0
SEND_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Hint:
    """A conversation has this title now."""

    conversation: UUID
    title: str


async def hint_send(actor: Actor, hint: Hint) -> None:
    """Tell all pages of this actor. Without Redis they are not told, and see it at the next reload."""
    group = _group(actor)
    if group is None:
        return
    message = {"type": "conversation.changed", "conversation": str(hint.conversation), "title": hint.title}
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await get_channel_layer().group_send(group, message)
    except (RedisError, OSError, TimeoutError) as exc:
        logger.warning("a hint about conversation %s was lost: %s", hint.conversation, exc)


async def hints(actor: Actor) -> AsyncGenerator[Hint, None]:
    """Yield what this actor's pages are told, for as long as it is iterated."""
    group = _group(actor)
    while group is not None:
        try:
            layer = get_channel_layer()
            channel = await layer.new_channel()
            await layer.group_add(group, channel)
            try:
                while True:
                    message = await layer.receive(channel)
                    yield Hint(UUID(message["conversation"]), message["title"])
            finally:
                await layer.group_discard(group, channel)
        except (RedisError, OSError) as exc:
            logger.warning("no hints for now: %s", exc)
            await asyncio.sleep(LISTEN_AGAIN_S)


def _group(actor: Actor) -> str | None:
    if actor.user_id is not None:
        return f"chat.user.{actor.user_id}"
    if actor.visitor_public_id is not None:
        return f"chat.visitor.{actor.visitor_public_id.hex}"
    return None
