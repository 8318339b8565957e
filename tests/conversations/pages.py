"""A page as the contract of the chat socket sees it: sends frames, and shows what it is told to show."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from channels.testing import WebsocketCommunicator

from fastchat_site.asgi import application

Frame = dict[str, Any]

ENDS = ("complete", "stopped", "failed")
RECEIVE_WITHIN_S = 10.0


@dataclass
class ShownAnswer:
    """What a page shows of one answer, put together as docs/chat_socket.md says."""

    state: str = ""
    blocks: list[str] = field(default_factory=list)
    tail: str = ""
    end: Frame | None = None
    n_snapshots: int = 0

    def apply(self, frame: Frame) -> None:
        assert self.end is None or frame["type"] == "generation.snapshot", f"{frame['type']} after the end"
        match frame["type"]:
            case "generation.snapshot":
                self.state, self.blocks, self.tail = frame["state"], list(frame["blocks"]), frame["tail"]
                self.n_snapshots += 1
                self.end = None
            case "generation.delta":
                assert self.n_snapshots, "a delta before the snapshot"
                assert frame["text"], "an empty delta"
                self.tail += frame["text"]
            case "generation.blocks":
                assert self.n_snapshots, "blocks before the snapshot"
                self.blocks += frame["blocks"]
                self.tail = frame["tail"]
            case "generation.end":
                assert frame["state"] in ENDS
                assert not self.tail, "a tail at the end"
                self.state, self.end = frame["state"], frame

    @property
    def html(self) -> str:
        return "".join(self.blocks)


class Page:
    """An open socket. Frames of answers are applied to `answers`; all others are returned in order."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self._communicator = communicator
        self.answers: dict[str, ShownAnswer] = {}

    async def send(self, frame: Frame) -> None:
        await self._communicator.send_to(text_data=json.dumps(frame))

    async def send_raw(self, text: str | None = None, data: bytes | None = None) -> None:
        await self._communicator.send_to(text_data=text, bytes_data=data)

    async def next(self) -> Frame:
        """The next frame, applied if it is about an answer."""
        frame: Frame = json.loads(await self._communicator.receive_from(timeout=RECEIVE_WITHIN_S))
        if frame["type"].startswith("generation."):
            self.answers.setdefault(frame["generation"], ShownAnswer()).apply(frame)
        return frame

    async def until(self, kind: str) -> Frame:
        """Read on to the next frame of this type."""
        while (frame := await self.next())["type"] != kind:
            pass
        return frame

    async def until_shown(self, generation: str, text: str) -> ShownAnswer:
        """Read on until the answer shows this text in its tail or blocks."""
        answer = self.answers.setdefault(generation, ShownAnswer())
        while text not in answer.tail + answer.html:
            await self.next()
        return answer

    async def until_end(self, generation: str) -> ShownAnswer:
        answer = self.answers.setdefault(generation, ShownAnswer())
        while answer.end is None:
            await self.next()
        return answer

    async def ask(self, text: str, *, conversation: str | None = None, model: str = "scripted") -> Frame:
        """Send a turn and return how it was accepted."""
        ref = uuid4().hex
        await self.send({"type": "turn.send", "ref": ref, "conversation": conversation, "model": model, "text": text})
        accepted = await self.until("turn.accepted")
        assert accepted["ref"] == ref
        return accepted

    async def attach(self, generation: str) -> None:
        """Follow an answer from a snapshot on."""
        self.answers.pop(generation, None)
        await self.send({"type": "generation.attach", "generation": generation})

    async def refused(self, frame: Frame) -> str:
        """Send a frame that is not allowed, and return the code of the error that comes back."""
        await self.send(frame)
        while (answer := await self.next())["type"] not in ("error", "turn.refused"):
            pass
        assert answer.get("ref") == frame.get("ref")
        assert answer["error"]["message"]
        code: str = answer["error"]["code"]
        return code

    async def close(self) -> None:
        await self._communicator.disconnect()


@asynccontextmanager
async def open_page(cookies: dict[str, str], origin: str = "http://localhost") -> AsyncIterator[Page]:
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = [(b"origin", origin.encode()), (b"cookie", cookie.encode())]
    communicator = WebsocketCommunicator(application, "/ws/chat", headers=headers)
    connected, _ = await communicator.connect(timeout=RECEIVE_WITHIN_S)
    assert connected, "the socket was refused"
    page = Page(communicator)
    try:
        yield page
    finally:
        await page.close()
