"""The whole site as `make run` starts it, its processes by name, and a load on it."""

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg

from fastchat_site.embedded.command import services_for_command
from tests.embedded.support import command_line
from tests.live import ROOT, Process, free_port, start_process, wait_until

# How each process is recognised among the launcher's descendants.
MARKS = {
    "web": "fastchat_site.asgi",
    "worker": "gpu_worker",
    "jobs": "celery",
    "redis": "redis-server",
    "postgres": "postgres -D",
}
START_LIMIT_S = 120.0


@dataclass
class Launched:
    """A running `manage.py launch` with one model."""

    url: str
    data_dir: Path
    launcher: Process

    def process(self, name: str) -> psutil.Process:
        """The process itself, not the children that it may have. Raises: LookupError."""
        found = [p for p in self.descendants() if MARKS[name] in " ".join(command_line(p))]
        if not found:
            raise LookupError(f"there is no {name} process")
        return min(found, key=lambda p: p.create_time())

    def descendants(self) -> list[psutil.Process]:
        tree: list[psutil.Process] = psutil.Process(self.launcher.pid).children(recursive=True)
        return tree

    def has_replaced(self, name: str, old_pid: int) -> bool:
        try:
            return bool(self.process(name).pid != old_pid)
        except (LookupError, psutil.NoSuchProcess):
            return False

    def api_key(self) -> str:
        return self.manage("apikey", "create", "load").strip()

    def manage(self, *arguments: str) -> str:
        """Run `manage.py` beside the site and return its stdout."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self._env(), check=True, capture_output=True, text=True).stdout

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Read the site's database past the site."""
        env = {"FASTCHAT_DATA_DIR": str(self.data_dir)}
        with services_for_command(["manage.py", "shell"], env), psycopg.connect(env["DATABASE_URL"]) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def _env(self) -> dict[str, str]:
        return environment_without_services() | {"FASTCHAT_DATA_DIR": str(self.data_dir)}


def environment_without_services() -> dict[str, str]:
    """This process's environment as a newcomer's would be: without the test run's own services and settings."""
    ours = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY"}
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextmanager
def launched(model: Path, name: str, data_dir: Path, log: Path) -> Iterator[Launched]:
    """Launch the site and wait until it says that it is open; stop it at the end of the block."""
    port = free_port()
    command = ["manage.py", "launch", "--port", str(port), "--data-dir", str(data_dir), "--model", f"{model}={name}"]
    launcher = start_process(command, env=environment_without_services(), log=log)

    def is_open() -> bool:
        launcher.assert_alive()
        return "open http" in log.read_text()

    try:
        wait_until(is_open, what="the launcher to say that the site is open", limit_s=START_LIMIT_S)
        yield Launched(f"http://127.0.0.1:{port}", data_dir, launcher)
    finally:
        if launcher.popen.poll() is None:
            launcher.stop(30)


@contextmanager
def load(url: str, key: str, model: str, *, threads: int = 2) -> Iterator[Counter[str]]:
    """Send short API calls from some threads for the length of the block; yields the count of each outcome."""
    outcomes: Counter[str] = Counter()
    is_over = threading.Event()

    def call_again_and_again() -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "Go on"}], "max_tokens": 16}
        while not is_over.is_set():
            outcomes[_call(url, key, body)] += 1

    callers = [threading.Thread(target=call_again_and_again) for _ in range(threads)]
    for caller in callers:
        caller.start()
    try:
        yield outcomes
    finally:
        is_over.set()
        for caller in callers:
            caller.join()


def _call(url: str, key: str, body: dict[str, object]) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    try:
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, trust_env=False, timeout=60)
    except httpx.TransportError:
        return "no connection"
    return "answered" if reply.status_code == 200 else f"{reply.status_code} {reply.json()['error']['code']}"
