"""`manage.py launch`, from the outside: the real site, its real processes, real signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from fastchat_site.embedded.ports import free_ports
from fastchat_site.embedded.services import scratch_data_dir

from .support import REPOSITORY, command_line, family, runs, wait_for, wait_until_gone

pytestmark = pytest.mark.processes

# The test run has servers and secrets of its own; a launch makes its own.
NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE")
START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Launched:
    """A launch under test."""

    process: subprocess.Popen[bytes]
    output: Path
    data_dir: Path
    port: int

    def said(self) -> str:
        return self.output.read_text()

    def child(self, name: str) -> int:
        """The pid of the site's process whose command line has this word."""
        children = psutil.Process(self.process.pid).children()
        return next(int(child.pid) for child in children if any(name in part for part in command_line(child)))

    def is_serving(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def command(data_dir: Path, port: int, *options: str) -> list[str]:
    return [sys.executable, "manage.py", "launch", "--data-dir", str(data_dir), "--port", str(port), *options]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}


@contextmanager
def launched(data_dir: Path, *options: str, until: str = "site             open ") -> Iterator[Launched]:
    """Launch and wait for a word; whatever is left at the end is killed, so that a failed test leaves nothing."""
    port = free_ports(20, taken=0)[-1]
    output = data_dir.with_name(data_dir.name + ".output")
    with output.open("wb") as out:
        process = subprocess.Popen(
            command(data_dir, port, *options), stdout=out, stderr=out, cwd=REPOSITORY, env=environment()
        )
    site = Launched(process, output, data_dir, port)
    try:
        wait_for(lambda: until in site.said() or process.poll() is not None, limit_s=START_LIMIT_S, what=until)
        assert until in site.said(), site.said()
        yield site
    finally:
        process.kill()
        process.wait()
        output.unlink()


def refused(data_dir: Path, port: int, *options: str) -> str:
    """Launch something that must not start; returns what it said."""
    line = command(data_dir, port, "--no-workers", *options)
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment())
    assert done.returncode == 1
    return done.stderr


@dataclass(frozen=True, slots=True)
class Ended:
    """A launch that was asked to end: its status, which of its processes were left, and what it said."""

    data_dir: Path
    status: int
    left: list[int]
    said: str


@pytest.fixture(scope="module")
def ended() -> Iterator[Ended]:
    """The one that makes a database of its own. Others begin with a copy, because migrating takes most of a launch."""
    with scratch_data_dir() as path:
        with launched(path, "--no-workers") as site:
            pids = family(site.process.pid)
            site.process.send_signal(signal.SIGTERM)
            status = site.process.wait(20)
            found = Ended(path, status, list(filter(runs, pids)), site.said())
        yield found


def copied(ended: Ended, to: Path) -> Path:
    """With the owners of its files, who are not us."""
    subprocess.run(["cp", "--archive", f"{ended.data_dir}/.", to], check=True)
    return to


@pytest.fixture(scope="module")
def site(ended: Ended) -> Iterator[Launched]:
    with scratch_data_dir() as path:
        with launched(copied(ended, path), "--no-workers") as running:
            pids = family(running.process.pid)
            yield running
        wait_until_gone(pids)


def test_every_process_is_reported_ready_and_the_site_answers(site: Launched) -> None:
    for name in ("postgres", "redis", "web", "jobs"):
        assert f"\n{name:<16} ready in " in f"\n{site.said()}"
    assert f"open http://127.0.0.1:{site.port}/" in site.said()
    assert site.is_serving()


def test_a_second_launch_on_the_same_data_is_refused_by_pid_and_address(site: Launched) -> None:
    words = refused(site.data_dir, site.port + 1)
    assert f"in use by process {site.process.pid} at http://127.0.0.1:{site.port}" in words
    assert "Traceback" not in words


def test_a_taken_port_is_refused_before_anything_starts(site: Launched, data_dir: Path) -> None:
    assert f"Port {site.port} on 127.0.0.1 is taken: free it, or choose another --port." in refused(data_dir, site.port)
    assert not (data_dir / "postgres").exists()


def test_a_command_uses_the_database_of_the_running_site(site: Launched) -> None:
    script = "from django.conf import settings; from apps.accounts.models import User; User.objects.count()"
    script += "; print(settings.DATABASES['default']['OPTIONS']['host'], settings.SECRET_KEY)"
    line = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    env = environment() | {"FASTCHAT_DATA_DIR": str(site.data_dir)}
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=REPOSITORY, env=env)
    secret_key = json.loads((site.data_dir / "secrets.json").read_text())["SECRET_KEY"]
    assert done.stdout == f"{site.data_dir / 'run'} {secret_key}\n"


def test_no_secret_is_on_a_command_line_or_in_a_log(site: Launched) -> None:
    secrets = [
        secret
        for name in ("secrets.json", "postgres.json")
        for secret in json.loads((site.data_dir / name).read_text()).values()
    ]
    assert len(secrets) == 3
    launcher = psutil.Process(site.process.pid)
    lines = [" ".join(command_line(process)) for process in (launcher, *launcher.children(recursive=True))]
    assert len(lines) > 5
    logs = [log.read_text(errors="replace") for log in (site.data_dir / "logs").iterdir()]
    for text in [*lines, *logs, site.said()]:
        assert not any(secret in text for secret in secrets)


def test_the_site_serves_again_after_postgres_and_then_web_are_killed(site: Launched) -> None:
    for name, word in (("postgres", "/postgres"), ("web", "uvicorn")):
        before = site.said().count(f"{name:<16} ready in ")
        os.kill(site.child(word), signal.SIGKILL)
        wait_for(lambda n=name, b=before: site.said().count(f"{n:<16} ready in ") > b, limit_s=30)  # type: ignore[misc]
        wait_for(site.is_serving, limit_s=30)


def test_sigterm_ends_everything_in_good_order(ended: Ended) -> None:
    assert (ended.status, ended.left) == (0, [])
    assert ended.said.endswith("site             stopped\n")
    assert "killed" not in ended.said
    assert "database system is shut down" in (ended.data_dir / "logs" / "postgres.log").read_text()


def test_ctrl_c_during_the_start_leaves_nothing(data_dir: Path) -> None:
    with launched(data_dir, "--no-workers", until="postgres         ready") as site:
        pids = family(site.process.pid)
        site.process.send_signal(signal.SIGINT)
        assert site.process.wait(20) == 0
    assert not any(map(runs, pids))


def test_a_killed_launcher_leaves_nothing_of_a_whole_site(ended: Ended, data_dir: Path) -> None:
    with launched(copied(ended, data_dir), "--model", "examples/models/demo-small=small", "--device", "cpu") as site:
        assert "\nworker-small     ready in " in site.said()
        pids = family(site.process.pid)
        assert len(pids) > 12  # with the backends of Postgres and the clock of the jobs
        site.process.kill()
        site.process.wait()
        wait_until_gone(pids)


def test_a_process_that_cannot_start_stops_the_launch_with_its_last_lines(ended: Ended, data_dir: Path) -> None:
    words = refused(
        copied(ended, data_dir), free_ports(1, taken=0)[0], "--env", "web:DJANGO_SETTINGS_MODULE=no_such.settings"
    )
    assert f"web ended with status 1 before it was ready. The end of {data_dir / 'logs' / 'web.log'}:" in words
    assert "No module named 'no_such'" in words
    left = [process for process in psutil.process_iter() if str(data_dir) in " ".join(command_line(process))]
    assert left == []


def test_a_migration_that_fails_stops_the_launch(data_dir: Path) -> None:
    words = refused(data_dir, free_ports(1, taken=0)[0], "--env", "migrate:DJANGO_SETTINGS_MODULE=no_such.settings")
    assert "migrate ended with status 1. The end of" in words
    assert "No module named 'no_such'" in words


@pytest.mark.parametrize(
    ("variable", "url", "words"),
    [
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:{port}/0", "The server at REDIS_URL does not answer"),
        ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:{port}/d", "The server at DATABASE_URL cannot be used (conn"),
    ],
)
def test_a_server_that_does_not_answer_is_refused_without_its_password(
    data_dir: Path, variable: str, url: str, words: str
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        env = environment() | {variable: url.format(port=closed.getsockname()[1])}
        line = command(data_dir, free_ports(1, taken=0)[0], "--no-workers")
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=env)
    assert done.returncode == 1
    assert words in done.stderr
    assert "hunter2" not in done.stderr
    assert not (data_dir / "postgres").exists()
