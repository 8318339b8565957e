"""A real Redis on a unix socket, as a child of this process: its folder and its command.

It does not supervise, and never listens on TCP. What it holds is hints and the job queue; an append-only file brings
the queue back after a crash with at most the last second lost.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .binaries import redis_server
from .identity import ServiceUser
from .paths import owned_folder, socket_dir
from .process import SERVICE_ENV, ProcessSpec

SOCKET_NAME = "redis.sock"


@dataclass(frozen=True, slots=True)
class Redis:
    """One server: `folder` holds its append-only file, `socket` is where it listens."""

    folder: Path
    socket: Path
    binary: Path
    user: ServiceUser
    durable: bool

    @property
    def redis_url(self) -> str:
        """The form of redis-py; Celery spells the same scheme redis+socket://."""
        return f"unix://{self.socket}"

    def process(self) -> ProcessSpec:
        """The server as a child."""
        keep = ("--appendonly", "yes") if self.durable else ("--appendonly", "no")
        listen = ("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700")
        return ProcessSpec(
            name="redis",
            argv=(str(self.binary), "--dir", str(self.folder), *listen, *keep, "--save", "", "--daemonize", "no"),
            env=SERVICE_ENV,
            cwd=self.folder,
            ready=self.is_ready,
            hurried_stop_s=3.0,
            user=self.user,
        )

    def is_ready(self, _lines: Sequence[str] = ()) -> bool:
        """Whether it answers PING; while it reads its file it answers with an error instead."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def prepare_redis(data_dir: Path, user: ServiceUser, *, durable: bool = True) -> Redis:
    """Find the binary and make the folders."""
    return Redis(
        folder=owned_folder(data_dir / "redis", user),
        socket=socket_dir(data_dir, user) / SOCKET_NAME,
        binary=redis_server(data_dir, user),
        user=user,
        durable=durable,
    )
