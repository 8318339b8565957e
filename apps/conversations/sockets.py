"""What the sockets of the chat and of the arena share: who is there, how a frame is handled, and sending.

Which frames there are, and what is done about each, is in the consumers. Nothing that was asked belongs to a socket.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Generic, TypeVar

from channels.generic.websocket import AsyncWebsocketConsumer

from apps.accounts.actors import Actor, actor_get
from apps.core.errors import SiteError
from apps.core.frames import Frame, dumped
from apps.core.networks import network_note_socket

logger = logging.getLogger(__name__)

F = TypeVar("F")


class PageGone(Exception):
    """What was sent reached nobody. Not an `OSError`: such a one may come from anything that a frame sets to work."""


class PageSocket(AsyncWebsocketConsumer, Generic[F]):
    """One open page. `F`: the frames that it may send."""

    # Channels would refuse the socket while Redis is away, and nothing here needs its layer.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        network_note_socket(self.scope)
        self._actor: Actor = actor_get(self.scope["user"], self.scope["cookies"])
        self._sending = asyncio.Lock()
        self._is_open = True
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self._do(self.take(text_data), None, "reading a frame")

    async def take(self, text: str | None) -> None:
        """Read a frame, and handle it or have it handled. Raises: SiteError, which the page is told."""
        raise NotImplementedError

    async def obey(self, frame: F) -> None:
        """Do what a frame asks for. Raises: SiteError, which the page is told."""
        raise NotImplementedError

    async def refuse(self, frame: F | None, error: SiteError) -> None:
        """Tell the page; None: a frame that could not be read, or something that nobody asked for."""
        raise NotImplementedError

    async def handle(self, frame: F) -> None:
        """Obey, or say why not; whoever has gone is told nothing."""
        await self._do(self.obey(frame), frame, f"handling a {type(frame).__name__} frame")

    async def pass_on(self, frames: AsyncGenerator[Frame, None], what: str) -> None:
        """Send all of them, as they come; `what` they are about, for the log."""
        await self._do(self._send_all(frames), None, f"showing {what}")

    async def _do(self, work: Awaitable[None], frame: F | None, what: str) -> None:
        try:
            if (error := await _error_of(work, what)) is not None:
                await self.refuse(frame, error)
        except PageGone:
            logger.debug("a page went away during %s", what)

    async def _send_all(self, frames: AsyncGenerator[Frame, None]) -> None:
        async with aclosing(frames) as following:
            async for frame in following:
                await self.send_frame(frame)

    async def send_frame(self, frame: Frame) -> None:
        """Raises: PageGone."""
        # One at a time: all of a page share its socket, and a full one must hold up all of them.
        async with self._sending:
            if self._is_open:
                try:
                    await self.send(text_data=dumped(frame))
                except OSError as exc:
                    raise PageGone from exc


async def _error_of(work: Awaitable[None], what: str) -> SiteError | None:
    """What a page is told of it. Raises: PageGone."""
    try:
        await work
    except SiteError as exc:
        return exc
    except PageGone:
        raise
    except Exception:
        logger.exception("%s failed", what)
        return SiteError()
    return None
