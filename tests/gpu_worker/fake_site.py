"""A small real HTTP server that stands in for the site: it keeps what workers say and answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gpu_worker.protocol import LeaseGrant, LeaseRequest

ENROLMENT_TOKEN = "enrolment-for-tests"


@dataclass(slots=True)
class FakeSite:
    """What it has heard, and how it answers: a status and a body."""

    url: str
    answer: tuple[int, Any] = (200, LeaseGrant(expires_in_s=45, renew_in_s=15, drain=False).to_json())
    leases: list[LeaseRequest] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    n_tries: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, condition: Callable[[], bool], timeout_s: float = 40) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), f"the site has heard only {self.leases}"


@contextmanager
def fake_site(port: int = 0) -> Iterator[FakeSite]:
    """Listen until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with site.changed:
                site.n_tries += 1
                status, answer = self._judged(site.answer)
                if status == 200:
                    site.leases.append(LeaseRequest.from_json(body))
                site.changed.notify_all()
            self._reply(status, json.dumps(answer).encode())

        def do_DELETE(self) -> None:
            with site.changed:
                site.left.append(self.path)
                site.changed.notify_all()
            self._reply(204, b"")

        def _judged(self, answer: tuple[int, Any]) -> tuple[int, Any]:
            known = self.headers.get("Authorization") == f"Bearer {ENROLMENT_TOKEN}"
            return answer if known else (401, {"error": {"message": "who are you?"}})

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    site = FakeSite(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
