"""A person's page, reduced to its socket: it shows what the frames say, and reconnects like the page does.

It does not render; `shown` is the HTML of the finished blocks plus the plain tail.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

Frame = dict[str, Any]

ENDS = {"complete", "stopped", "failed"}
DEAD = (ConnectionClosed, InvalidHandshake, OSError)


@dataclass
class Shown:
    """One answer as the page shows it."""

    blocks: list[str] = field(default_factory=list)
    tail: str = ""
    state: str = "queued"
    error: Frame | None = None
    n_frames: int = 0

    @property
    def html(self) -> str:
        return "".join(self.blocks) + self.tail

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS

    def apply(self, frame: Frame) -> None:
        self.n_frames += 1
        match frame["type"]:
            case "generation.snapshot":
                self.blocks, self.tail, self.state = list(frame["blocks"]), frame["tail"], frame["state"]
            case "generation.delta":
                self.tail += frame["text"]
            case "generation.blocks":
                self.blocks += frame["blocks"]
                self.tail = frame["tail"]
            case "generation.end":
                self.state, self.error = frame["state"], frame["error"]


class ChatClient:
    """One visitor's page at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.n_connections = 0
        reply = httpx.get(f"{url}/chat", trust_env=False).raise_for_status()
        self.cookie = "; ".join(f"{name}={value}" for name, value in reply.cookies.items())
        self._socket: ClientConnection | None = None
        self._open = ExitStack()

    def close(self) -> None:
        self._open.close()
        self._socket = None

    def request(self, frame: Frame, *, limit_s: float = 30.0) -> Frame:
        """Send a frame, reconnecting until it is out, and return the reply that carries its `ref`."""
        end = monotonic() + limit_s
        while monotonic() < end:
            try:
                self._connected().send(json.dumps(frame))
                while (reply := self._receive(end)).get("ref") != frame["ref"]:
                    pass
                return reply
            except DEAD:
                self._socket = None
        raise TimeoutError(f"no reply to {frame['type']} within {limit_s:g} s")

    def send_turn(self, text: str, model: str, conversation: str | None = None) -> Frame:
        """Ask until the site takes it, as a person would; refusals that may pass are tried again."""
        frame = {"type": "turn.send", "ref": "r", "conversation": conversation, "model": model, "text": text}
        return self.request(frame)

    def stop(self, generation: str) -> None:
        self._connected().send(json.dumps({"type": "turn.stop", "generation": generation}))

    def watch(self, generation: str, shown: Shown, *, until: Any, limit_s: float = 60.0) -> Shown:
        """Apply frames until `until(shown)`; after a broken connection attach again."""
        end = monotonic() + limit_s
        attached = self._socket is not None
        while not until(shown):
            if monotonic() > end:
                raise TimeoutError(f"after {limit_s:g} s the answer is {shown.state} with {len(shown.html)} characters")
            try:
                socket = self._connected()
                if not attached:
                    socket.send(json.dumps({"type": "generation.attach", "generation": generation}))
                    attached = True
                frame = self._receive(end)
                if frame.get("generation") == generation:
                    shown.apply(frame)
            except DEAD:
                self._socket, attached = None, False
        return shown

    def _connected(self) -> ClientConnection:
        if self._socket is None:
            address = self._url.replace("http", "ws", 1) + "/ws/chat"
            headers = {"Cookie": self.cookie}
            self._open.close()
            self._socket = self._open.enter_context(
                connect(address, origin=Origin(self._url), additional_headers=headers, max_size=None, proxy=None)
            )
            self.n_connections += 1
        return self._socket

    def _receive(self, end: float) -> Frame:
        assert self._socket is not None
        frame: Frame = json.loads(self._socket.recv(timeout=max(0.1, end - monotonic())))
        return frame
