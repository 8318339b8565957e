"""What the sockets of the chat and of the arena share: who is there, how a frame is handled, and sending.

Which frames there are, and what is done about each, is in the consumers. Nothing that was asked belongs to a socket.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

from channels.generic.websocket import AsyncWebsocketConsumer

from apps.accounts.actors import Actor, actor_get
from apps.core.errors import SiteError
from apps.core.frames import Frame, dumped
from apps.core.networks import network_note_socket

logger = logging.getLogger(__name__)

F = TypeVar("F")


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

    async def obey(self, frame: F) -> None:
        """Do what a frame asks for. Raises: SiteError, which the page is told."""
        raise NotImplementedError

    async def refuse(self, frame: F | None, error: SiteError) -> None:
        """Tell the page; None: a frame that could not be read, or something that nobody asked for."""
        raise NotImplementedError

    async def handle(self, frame: F) -> None:
        """Obey, or say why not; whoever has gone is told nothing."""
        try:
            if (error := await self._error_of(frame)) is not None:
                await self.refuse(frame, error)
        except OSError:
            logger.debug("a page went away before it was answered")

    async def _error_of(self, frame: F) -> SiteError | None:
        try:
            await self.obey(frame)
        except SiteError as exc:
            return exc
        except OSError:
            raise
        except Exception:
            logger.exception("handling a %s frame failed", type(frame).__name__)
            return SiteError()
        return None

    async def pass_on(self, frames: AsyncGenerator[Frame, None], what: str) -> None:
        """Send all of them, as they come; `what` they are about, for the log."""
        try:
            async with aclosing(frames) as following:
                async for frame in following:
                    await self.send_frame(frame)
        except SiteError as exc:
            await self.refuse(None, exc)
        except OSError:
            logger.debug("a page went away during %s", what)
        except Exception:
            logger.exception("showing %s failed", what)
            await self.refuse(None, SiteError())

    async def send_frame(self, frame: Frame) -> None:
        # One at a time: all of a page share its socket, and a full one must hold up all of them.
        async with self._sending:
            if self._is_open:
                await self.send(text_data=dumped(frame))
