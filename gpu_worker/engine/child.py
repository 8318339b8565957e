"""A child process that serves one model on a loopback port, to this worker alone.

It knows how to start, await and end one; what is said over HTTP is `remote`'s.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import httpx

POLL_S = 0.05


class ChildFailed(Exception):
    """The child ended before it could serve, or does not answer. The message is a sentence."""


class ChildServer:
    """Starts `command(port)`, with an access key of its own in the environment, each time anew."""

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        key_variable: str,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`key_variable`: where the child reads its access key; a command line could be read by everybody.

        `environment`: what it gets beside this process's own.
        """
        self._environment = environment
        self._command = command
        self._key_variable = key_variable
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.headers: dict[str, str] = {}

    def start(self) -> None:
        """Start and wait until it answers. Blocks, for as long as the child loads. Raises: ChildFailed."""
        key, port = secrets.token_urlsafe(32), _free_port()
        self.url, self.headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
        self.stop(0)  # the keeper of a child that died is dead as well; what is left is a pipe to close
        keeper = [sys.executable, "-m", "gpu_worker.engine.keeper", *self._command(port)]
        self._process = subprocess.Popen(
            keeper,
            stdin=subprocess.PIPE,
            stdout=sys.stderr,  # the worker's own standard output is for whoever waits for its `ready` lines
            env={**os.environ, **self._environment, self._key_variable: key},
            start_new_session=True,
        )
        while not self._is_healthy():
            if self._process.poll() is not None:
                raise ChildFailed(f"its process ended with status {self._process.returncode}; the log has the cause")
            time.sleep(POLL_S)

    def wait(self) -> int:
        """Block until it has ended."""
        return 0 if self._process is None else self._process.wait()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def stop(self, timeout_s: float) -> bool:
        """End it. Blocks; False if it is still there after that time."""
        if self._process is None:
            return True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", headers=self.headers, timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
