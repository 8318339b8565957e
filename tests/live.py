"""The site as its users meet it: real processes on real ports, with a database of their own.

Nothing here knows Django's test database: what a test wants to find it makes through the site's own doors, or where
there is none by `manage.py` and by SQL in the site's own database.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import psycopg
from psycopg import sql

from fastchat_site.embedded.process import leashed
from tests.plugin_services import at_end

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
START_LIMIT_S = 90.0
EMPTY: Mapping[str, str] = MappingProxyType({})
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "fastchat_site.settings.dev",
    "SECRET_KEY": "only-for-this-run",
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
}
SERVERS = {
    "uvicorn": [
        "-m", "uvicorn", "fastchat_site.asgi:application", "--host", "127.0.0.1", "--port", "{port}",
        "--no-proxy-headers",
    ],
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "fastchat_site.asgi:application"],
}  # fmt: skip


def wait_until(condition: Callable[[], T], *, what: str, limit_s: float = 60.0) -> T:
    """Return the condition's first true value. Raises: TimeoutError, saying what was waited for."""
    end = monotonic() + limit_s
    while True:
        if value := condition():
            return value
        if monotonic() > end:
            raise TimeoutError(f"waited {limit_s:g} s for: {what}")
        sleep(0.02)  # the pace of asking, not a guess at how long it takes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


N_WORKERS, N_KEYS = 128, 32
MAKE_PASSES = f"""
from json import dumps
from uuid import uuid4
from apps.accounts.services import api_key_create
from apps.workers.services.enrolment import secret_create, worker_register
workers = [(str(uuid4()), secret_create()) for _ in range({N_WORKERS})]
for worker_id, secret in workers:
    worker_register(worker_id=worker_id, secret=secret, allowed="")
keys = [api_key_create(name=f"test-{{uuid4().hex}}", user=None).secret for _ in range({N_KEYS})]
print(dumps([workers, keys]))
"""
MIGRATE = "from django.core.management import call_command; call_command('migrate', verbosity=0)"


@dataclass
class Passes:
    """What lets workers and programs in: ids and secrets, and keys of the API. Each is used once on a site."""

    workers: list[tuple[UUID, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def copy(self) -> "Passes":
        return Passes([*self.workers], [*self.keys])


@dataclass
class Process:
    """A child on a leash, with its output in a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def kill(self) -> None:
        """As by `kill -9`."""
        self.popen.kill()
        self.popen.wait()

    def stop(self, limit_s: float = 20.0) -> int:
        """Ask it to end, and return its status. Raises: TimeoutExpired: it did not, and was killed."""
        self.popen.terminate()
        try:
            return self.popen.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def assert_alive(self) -> None:
        """Raises: RuntimeError, with the end of its output."""
        if self.popen.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"{self.log.name} ended with {self.popen.returncode}:\n{tail}")


def start_process(argv: list[str], *, env: dict[str, str], log: Path) -> Process:
    with log.open("ab") as output:
        popen = subprocess.Popen(
            leashed([sys.executable, *argv]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=ROOT,
            start_new_session=True,
        )
    return Process(popen, log)


def manage(env: Mapping[str, str], *arguments: str) -> str:
    """Run `manage.py` and return its stdout. Raises: RuntimeError, with its stderr: its status is not 0."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr}")
    return done.stdout


def passes_made(env: Mapping[str, str], *, before: str = "") -> Passes:
    """Many at once, after some other code: starting a command takes seconds."""
    workers, keys = json.loads(manage(env, "shell", "--no-imports", "--command", before + MAKE_PASSES))
    return Passes([(UUID(worker_id), secret) for worker_id, secret in workers], keys)


@dataclass
class LiveSite:
    """A running site. `web` and `workers` may be killed and started again by a test."""

    url: str
    env: dict[str, str]
    logs: Path
    web: Process
    workers: dict[str, Process] = field(default_factory=dict)
    jobs: list[Process] = field(default_factory=list)
    _commands: dict[str, list[str]] = field(default_factory=dict)
    _passes: Passes = field(default_factory=Passes)

    def identity(self) -> tuple[UUID, str]:
        """Id and secret of a worker that may come in; another one each time."""
        if not self._passes.workers:
            self._passes = passes_made(self.env)
        return self._passes.workers.pop()

    def api_key(self) -> str:
        """Of the installation; another one each time."""
        if not self._passes.keys:
            self._passes = passes_made(self.env)
        return self._passes.keys.pop()

    def manage(self, *arguments: str) -> str:
        """Run `manage.py` on the site's database and return its stdout. Raises: RuntimeError, with its stderr."""
        return manage(self.env, *arguments)

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """One statement in the site's database, past the site: its rows. One that changes them has to say RETURNING."""
        with psycopg.connect(self.env["DATABASE_URL"]) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def clear(self) -> None:
        """Take away models and visitors, and what was written, fought and rated. Accounts, keys and workers stay."""
        with psycopg.connect(self.env["DATABASE_URL"]) as connection:
            connection.execute(
                "TRUNCATE catalog_languagemodel, accounts_visitor, conversations_conversation, arena_battle,"
                " leaderboard_snapshot CASCADE"
            )

    def start_web(self) -> None:
        self.web = start_process(self._commands["web"], env=self.env, log=self.logs / "web.log")
        self.wait_for_web()

    def wait_for_web(self) -> None:
        wait_until(lambda: self._answers("/ready"), what="the site to be ready", limit_s=START_LIMIT_S)

    def start_worker(self, model: Path, name: str, *options: str) -> Process:
        """Start a worker with this model and wait until the site offers it."""
        worker_id, secret = self.identity()
        command = ["-m", "gpu_worker", "serve", "--model", f"{model}={name}", "--site", self.url, *options]
        env = self.env | {"FASTCHAT_WORKER_SECRET": secret}
        process = start_process(
            [*command, "--worker-id", str(worker_id)], env=env, log=self.logs / f"worker-{name}.log"
        )
        self.workers[name] = process
        self.wait_for_model(name)
        return process

    def start_jobs(self) -> None:
        """Celery with its clock, for the one site of a test run that gives it work: all sites share a broker."""
        command = ["-m", "celery", "-A", "fastchat_site.celery:app", "worker", "--beat", "--pool", "threads"]
        command += ["--schedule", str(self.logs / "beat-schedule"), "--concurrency", "2", "--loglevel", "INFO"]
        self.jobs.append(start_process(command, env=self.env, log=self.logs / "jobs.log"))

    def wait_for_model(self, name: str) -> None:
        """Until some worker has loaded it. Raises: RuntimeError: a worker has ended; TimeoutError."""

        def is_offered() -> bool:
            for process in self.workers.values():
                process.assert_alive()
            return self._state(name) == "loaded"

        wait_until(is_offered, what=f"{name} to be loaded", limit_s=START_LIMIT_S)

    def _state(self, name: str) -> object:
        rows = self.query(
            "SELECT h.state FROM workers_hostedmodel h JOIN workers_worker w ON w.id = h.worker_id"
            " JOIN catalog_languagemodel m ON m.id = h.model_id WHERE m.name = %s AND w.lease_expires_at > now()",
            name,
        )
        return rows[0][0] if rows else None

    def _answers(self, path: str) -> bool:
        self.web.assert_alive()
        try:
            return httpx.get(self.url + path, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def new_database(url: str, *, like: str = "template1") -> Iterator[str]:
    """Create a database beside the one of `url`, empty or with all of another one; it is dropped at the end."""
    name = f"live_{uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(like)))
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


_migrated: list[str] = []
"""A database with every table, once there is one. Migrating takes many seconds."""


def tables_keep(name: str) -> None:
    """Copy a database that has every table, and in them what migrations put there: sites begin with that one."""
    _migrated.append(_name_of(at_end.enter_context(new_database(os.environ["DATABASE_URL"], like=name))))


@cache
def site_template() -> tuple[str, Passes]:
    """The name of a database with every table and no connection, to be copied, and what it lets in."""
    like, before = (_migrated[0], "") if _migrated else ("template1", MIGRATE)
    url = at_end.enter_context(new_database(os.environ["DATABASE_URL"], like=like))
    env = os.environ | {"DATABASE_URL": url} | SETTINGS
    return _name_of(url), passes_made(env, before=before)


def _name_of(database_url: str) -> str:
    return urlsplit(database_url).path.removeprefix("/")


@contextmanager
def running_site(logs: Path, *, server: str = "uvicorn", env: Mapping[str, str] = EMPTY) -> Iterator[LiveSite]:
    """Run the web process on a database of its own, without workers and jobs. `env` adds to its own."""
    port = free_port()
    template, passes = site_template()
    with ExitStack() as stack:
        database_url = stack.enter_context(new_database(os.environ["DATABASE_URL"], like=template))
        full_env = os.environ | {"DATABASE_URL": database_url} | SETTINGS | dict(env)
        command = [part.format(port=port) for part in SERVERS[server]]
        web = start_process(command, env=full_env, log=logs / "web.log")
        address = f"http://127.0.0.1:{port}"
        site = LiveSite(address, full_env, logs, web, _commands={"web": command}, _passes=passes.copy())
        stack.callback(_stop_all, site)
        site.wait_for_web()
        yield site


def _stop_all(site: LiveSite) -> None:
    for process in [*site.jobs, *site.workers.values(), site.web]:
        if process.popen.poll() is None:
            process.stop()
