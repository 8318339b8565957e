"""A scripted stand-in for somebody else's server: it keeps what it was asked and plays one reply after another."""

import json
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 30.0


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """What is answered. A `threading.Event` among the pieces holds it there until it is set."""

    pieces: list[bytes | threading.Event]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    breaks_off: bool = False
    """The connection is closed before the body's end, which shows on one that is kept alive."""


def whole(body: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([json.dumps(body).encode()], status, {"Content-Type": "application/json", **named})


def stream(*events: object, end: str = "\n\n") -> Reply:
    """Each event is JSON, a text as it stands, or a gate."""
    pieces: list[bytes | threading.Event] = []
    for event in events:
        match event:
            case threading.Event():
                pieces.append(event)
            case str():
                pieces.append(f"data: {event}{end}".encode())
            case {"type": str(name)}:
                pieces.append(f"event: {name}{end[: len(end) // 2]}data: {json.dumps(event)}{end}".encode())
            case _:
                pieces.append(f"data: {json.dumps(event)}{end}".encode())
    return Reply(pieces, 200, {"Content-Type": "text/event-stream"})


class StandIn(ThreadingHTTPServer):
    """Made by `standing_in()`. `asked`, `replies` and `most_running` (at once) are for tests; `hung_up` is set when a
    caller leaves a stream. With `keeps_alive` a connection serves one request after the other."""

    daemon_threads = True
    asked: list[Asked]
    replies: deque[Reply]
    hung_up: threading.Event
    scheme: str
    n_running: int
    most_running: int
    lock: threading.Lock
    keeps_alive: bool
    n_connections: int

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    _runs = False

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.n_connections += 1
        if self.server.keeps_alive:
            self.protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, format: str, *args: object) -> None:
        return

    def _answer(self, body: object) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.path, headers, body))
        with self.server.lock:
            reply = self.server.replies.popleft()
            self._runs = True
            self.server.n_running += 1
            self.server.most_running = max(self.server.most_running, self.server.n_running)
        try:
            self._play(reply)
        finally:
            self.close_connection |= reply.breaks_off
            self._end()

    def _end(self) -> None:
        """It runs no more. Before its last piece: whoever has that may send the next request at once."""
        with self.server.lock:
            self.server.n_running -= self._runs
            self._runs = False

    def _play(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.server.keeps_alive:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for n_left, piece in zip(range(len(reply.pieces) - 1, -1, -1), reply.pieces, strict=True):
                if isinstance(piece, threading.Event):
                    self._hold(piece)
                    continue
                if not n_left:
                    self._end()
                self._write(piece)
            if self.server.keeps_alive and not reply.breaks_off:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.hung_up.set()

    def _write(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.server.keeps_alive else piece)

    def _hold(self, gate: threading.Event) -> None:
        """Until the gate opens, or the other side leaves: then there is something to read, which is its end."""
        self.connection.settimeout(0.05)
        for _ in range(int(WAIT_S / 0.05)):
            if gate.is_set():
                break
            try:
                if not self.connection.recv(1):
                    raise BrokenPipeError
            except TimeoutError:
                continue
        else:
            raise AssertionError("nobody opened the gate")
        self.connection.settimeout(None)


@contextmanager
def standing_in(tls: ssl.SSLContext | None = None) -> Iterator[StandIn]:
    with StandIn(("127.0.0.1", 0), _Handler) as server:
        server.asked, server.replies, server.hung_up = [], deque(), threading.Event()
        server.n_running, server.most_running, server.lock = 0, 0, threading.Lock()
        server.keeps_alive, server.n_connections = False, 0
        server.scheme = "http" if tls is None else "https"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
