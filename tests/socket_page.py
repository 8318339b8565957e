"""An open socket as a page has it: what the pages of chat and arena share."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from apps.accounts.actors import VISITOR_COOKIE, visitor_cookie_value
from apps.accounts.models import User
from fastchat_site.asgi import application

Frame = dict[str, Any]

RECEIVE_WITHIN_S = 30.0


class SocketPage:
    """Sends frames and reads them. A page of its own says in `apply` what it makes of each."""

    REFUSED: str
    """The type of frame that refuses one with a `ref`."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self._communicator = communicator

    def apply(self, text: str, frame: Frame) -> None:
        """A frame came: as it was sent, and read."""
        raise NotImplementedError

    async def send(self, frame: Frame) -> None:
        await self._communicator.send_to(text_data=json.dumps(frame))

    async def send_raw(self, text: str | None = None, data: bytes | None = None) -> None:
        await self._communicator.send_to(text_data=text, bytes_data=data)

    async def next(self) -> Frame:
        """The next frame, applied."""
        text = await self._communicator.receive_from(timeout=RECEIVE_WITHIN_S)
        frame: Frame = json.loads(text)
        self.apply(text, frame)
        return frame

    async def until(self, *kinds: str) -> Frame:
        """Read on to the next frame of one of these types."""
        while (frame := await self.next())["type"] not in kinds:
            pass
        return frame

    async def refused(self, frame: Frame) -> str:
        """Send a frame that is not allowed, and return the code of the error that comes back."""
        await self.send(frame)
        answer = await self.until("error", self.REFUSED)
        assert answer.get("ref") == frame.get("ref")
        assert answer["error"]["message"]
        code: str = answer["error"]["code"]
        return code

    async def close(self) -> None:
        await self._communicator.disconnect()


PageT = TypeVar("PageT", bound=SocketPage)


@asynccontextmanager
async def open_socket_page(
    kind: type[PageT], path: str, cookies: dict[str, str], origin: str = "http://localhost"
) -> AsyncIterator[PageT]:
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = [(b"origin", origin.encode()), (b"cookie", cookie.encode())]
    communicator = WebsocketCommunicator(application, path, headers=headers)
    connected, _ = await communicator.connect(timeout=RECEIVE_WITHIN_S)
    assert connected, "the socket was refused"
    page = kind(communicator)
    try:
        yield page
    finally:
        await page.close()


def cookies_of(who: User | UUID | None) -> dict[str, str]:
    """What the browser of a user, of a visitor or of nobody sends."""
    if who is None:
        return {}
    if isinstance(who, UUID):
        return {VISITOR_COOKIE: visitor_cookie_value(who)}
    client = Client()
    client.force_login(who)
    return {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}
