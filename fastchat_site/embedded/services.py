"""Postgres and Redis for the length of a `with` block: for tests and for commands that need both and no site.

It starts and stops them; it does not restart one that dies (that is `supervisor`). Their logs go to `logs/` unrotated.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import ServiceNotReady
from .identity import service_user
from .paths import data_dir_lock, default_data_dir, prepare_data_dir
from .postgres import prepare_postgres
from .process import ProcessSpec, spawn
from .redis import prepare_redis

START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is private
ROOMY_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class EmbeddedServices:
    """Where the running services are."""

    data_dir: Path
    database_url: str
    redis_url: str
    pids: dict[str, int]


@contextmanager
def embedded_services(data_dir: Path | None = None, *, durable: bool = True) -> Iterator[EmbeddedServices]:
    """Run Postgres and Redis on this data directory (default: the site's own); yields when both answer.

    `durable=False` turns off what protects the data from a crash of the machine: for tests.
    Call it from the main thread. Both end with this process, by kill -9 too.

    Raises:
        LaunchError: in words, what stands in the way.
    """
    user = service_user()
    folder = (data_dir or default_data_dir(user, wanted=os.environ.get("FASTCHAT_DATA_DIR", ""))).absolute()
    prepare_data_dir(folder, user)
    with ExitStack() as stack:
        stack.enter_context(data_dir_lock(folder, address="unix sockets only"))
        postgres = prepare_postgres(folder, user, durable=durable)
        redis = prepare_redis(folder, user, durable=durable)
        running = {spec.name: _start(spec, folder, stack) for spec in (postgres.process(), redis.process())}
        for spec in (postgres.process(), redis.process()):
            _wait_until_ready(spec, running[spec.name], folder)
        postgres.ensure_site_database()
        pids = {name: process.pid for name, process in running.items()}
        yield EmbeddedServices(folder, postgres.database_url, redis.redis_url, pids)


@contextmanager
def scratch_data_dir() -> Iterator[Path]:
    """A data directory that the service user can reach and that is gone afterwards.

    Not pytest's `tmp_path`: for root that lies in a folder which no other user can pass through. In memory where there
    is room: a cluster is a thousand files, whose making and deleting takes seconds on a busy disk.
    """
    base = str(MEMORY) if _is_roomy(MEMORY) else None
    with tempfile.TemporaryDirectory(prefix="fastchat-", dir=base) as name:
        path = Path(name)
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        yield path


def _is_roomy(folder: Path) -> bool:
    """Containers often have 64 MB of it, or allow no program there."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    file_system = os.statvfs(folder)
    return file_system.f_bavail * file_system.f_frsize > ROOMY_BYTES and not file_system.f_flag & os.ST_NOEXEC


def _start(spec: ProcessSpec, data_dir: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    spec.prepare()
    with (data_dir / "logs" / f"{spec.name}.log").open("ab") as log:
        process = spawn(spec, output=log)
    stack.callback(_stop, process, spec.stop_signal)
    return process


def _wait_until_ready(spec: ProcessSpec, process: subprocess.Popen[bytes], data_dir: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not spec.ready(()):
        if process.poll() is not None or time.monotonic() > deadline:
            log = data_dir / "logs" / f"{spec.name}.log"
            with log.open(errors="replace") as lines:
                last = "".join(deque(lines, maxlen=20))
            raise ServiceNotReady(f"{spec.name} did not start. The end of {log}:\n{last}")
        time.sleep(0.01)


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
