"""A database for every `manage.py` command, so that none needs a variable set by hand.

A command joins the services of a running `launch`, or of another command, on the same data directory; without one it
runs Postgres and Redis itself, and stops them when it and those that joined it have ended. With DATABASE_URL set this
does nothing.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .cluster import CLUSTER_FOLDER
from .errors import AlreadyRunning, ProcessCannotStart, ServiceNotReady
from .guests import closed_to_guests, hold_guest_lock, wait_for_guests
from .identity import ServiceUser, service_user
from .launch import site_secrets
from .needs import needs_database
from .paths import REPOSITORY, default_data_dir, prepare_data_dir
from .postgres import prepare_postgres
from .redis import prepare_redis
from .services import embedded_services

JOIN_LIMIT_S = 60.0
JOIN_POLL_S = 0.1


@contextmanager
def services_for_command(argv: Sequence[str], environ: MutableMapping[str, str]) -> Iterator[None]:
    """Set DATABASE_URL, REDIS_URL and the site's secrets in `environ`, if the command needs them.

    Raises:
        LaunchError: in words, what stands in the way.
    """
    if environ.get("DATABASE_URL") or not needs_database(argv):
        yield
        return
    user = service_user()
    data_dir = default_data_dir(user, wanted=environ.get("FASTCHAT_DATA_DIR", ""))
    with ExitStack() as stack:
        _own_or_join(data_dir, user, environ, stack)
        yield


def _own_or_join(data_dir: Path, user: ServiceUser, environ: MutableMapping[str, str], stack: ExitStack) -> None:
    """Run the services or use running ones, until the stack is closed."""
    deadline = time.monotonic() + JOIN_LIMIT_S
    while True:
        try:
            _own(data_dir, user, environ, stack)
            return
        except AlreadyRunning as exc:
            if _joins(data_dir, user, environ, stack):
                return
            if time.monotonic() > deadline:
                raise ServiceNotReady(
                    f"{exc} Its database does not answer here: if it uses another, set DATABASE_URL."
                ) from exc
        time.sleep(JOIN_POLL_S)  # its owner is still preparing them, or about to stop them


def _own(data_dir: Path, user: ServiceUser, environ: MutableMapping[str, str], stack: ExitStack) -> None:
    """Run the services until the stack is closed, and bring the tables up to date."""
    with ExitStack() as attempt:
        # Entered first, so that guests are let in again only when the services have stopped.
        locks = attempt.enter_context(ExitStack())
        prepare_data_dir(data_dir, user)
        with closed_to_guests(data_dir):
            services = attempt.enter_context(embedded_services(data_dir))
            _set_variables(environ, data_dir, services.database_url, services.redis_url)
            _migrate(environ)
        attempt.callback(wait_for_guests, data_dir, locks)
        stack.push(attempt.pop_all())


def _joins(data_dir: Path, user: ServiceUser, environ: MutableMapping[str, str], stack: ExitStack) -> bool:
    """Use the services that another process runs, if they answer and will not stop before we do."""
    with ExitStack() as attempt:
        if not hold_guest_lock(data_dir, attempt):
            return False
        if not (data_dir / CLUSTER_FOLDER).exists():
            return False
        postgres = prepare_postgres(data_dir, user)
        if not postgres.is_ready():
            return False
        _set_variables(environ, data_dir, postgres.database_url, prepare_redis(data_dir, user).redis_url)
        stack.push(attempt.pop_all())
    return True


def _set_variables(environ: MutableMapping[str, str], data_dir: Path, database_url: str, redis_url: str) -> None:
    environ["DATABASE_URL"] = database_url
    environ["REDIS_URL"] = environ.get("REDIS_URL") or redis_url
    environ.update(site_secrets(data_dir, environ))


def _migrate(environ: MutableMapping[str, str]) -> None:
    """No `launch` has done it, and what it finds up to date costs a second."""
    command = [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"]
    done = subprocess.run(command, cwd=REPOSITORY, env=dict(environ), check=False)
    if done.returncode != 0:
        raise ProcessCannotStart("The tables could not be brought up to date; the reason is above.")
