"""Chat sockets by the hundred: pages that are only open, and pages on which an answer is being written.

A client of its own, because it shares the cores with the site: it takes frames apart and notes when text came.
"""

import asyncio
import base64
import json
import os
import struct
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
FINAL, MASKED = 0x80, 0x80
OPEN_LIMIT_S = 30.0


@dataclass(slots=True)
class Shown:
    """What one page saw of its answer; times in seconds of `perf_counter`."""

    asked_at: float = 0.0
    text_at: list[float] = field(default_factory=list)
    n_tokens: int = 0
    state: str = ""

    @property
    def gaps_s(self) -> list[float]:
        return [late - early for early, late in zip(self.text_at, self.text_at[1:], strict=False)]


class Page(asyncio.Protocol):
    """One page's socket. `opened` is done once the site has let it in, `ended` when its answer is whole."""

    def __init__(self, url: str, cookie: str) -> None:
        loop = asyncio.get_running_loop()
        self.shown = Shown()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[Shown] = loop.create_future()
        self._url, self._cookie = url, cookie
        self._rest = b""
        self._transport: asyncio.Transport

    async def open(self) -> "Page":
        """Raises: RuntimeError when the site refuses; OSError, TimeoutError."""
        address = urlsplit(self._url)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(OPEN_LIMIT_S):
            await loop.create_connection(lambda: self, address.hostname or "", address.port or 80)
            await self.opened
        return self

    def ask(self, model: str) -> None:
        """Begin a conversation."""
        self.shown.asked_at = perf_counter()
        frame = {"type": "turn.send", "ref": "1", "conversation": None, "model": model, "text": "Go on"}
        self._transport.write(_masked(TEXT, json.dumps(frame).encode()))

    def close(self) -> None:
        self._transport.close()

    # --- What asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /ws/chat HTTP/1.1", f"Host: {urlsplit(self._url).netloc}", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"Origin: {self._url}",
            f"Cookie: sessionid={self._cookie}", "", "",
        ]  # fmt: skip
        self._transport.write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self.opened.done():
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(RuntimeError(head.decode(errors="replace")))
                return
            self._rest = rest
            self.opened.set_result(None)
        while (frame := _split(self._rest)) is not None:
            kind, content, self._rest = frame
            if kind == PING:
                self._transport.write(_masked(PONG, content))
            elif kind == TEXT:
                self._take(json.loads(content))

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.opened, self.ended):
            if not future.done():
                future.set_exception(RuntimeError(f"the socket was cut ({exc})"))
                future.exception()  # an idle page's end is awaited by nobody

    def _take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "generation.delta" | "generation.blocks":
                self.shown.text_at.append(perf_counter())
            case "generation.end":
                self.shown.state = frame["state"]
                self.shown.n_tokens = (frame["usage"] or {}).get("completion_tokens", 0)
                self.ended.set_result(self.shown)
            case "turn.refused" | "error":
                self.ended.set_exception(RuntimeError(f"the site says {frame['error']}"))


def _masked(kind: int, content: bytes) -> bytes:
    """One frame with a mask of zeros, which changes nothing. Source: RFC 6455, section 5.2."""
    size = len(content)
    length = bytes([MASKED | size]) if size < 126 else struct.pack("!BH", MASKED | 126, size)
    return bytes([FINAL | kind]) + length + bytes(4) + content


def _split(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The kind and content of the first frame, and what follows it; None if it is not whole. A site masks nothing."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size == 126:
        size, start = int.from_bytes(data[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(data[2:10]), 10
    if len(data) < start + size:
        return None
    return data[0] & 0x0F, data[start : start + size], data[start + size :]
