"""A database for every `manage.py` command, so that none needs a variable set by hand.

Commands join the services of a running `launch` on the same data directory; without one they run Postgres and Redis
themselves for as long as they take. With DATABASE_URL set this does nothing.
"""

import subprocess
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager

from .errors import AlreadyRunning
from .identity import service_user
from .launch import site_secrets
from .paths import REPOSITORY, default_data_dir
from .postgres import prepare_postgres
from .redis import prepare_redis
from .services import embedded_services

WITHOUT_DATABASE = frozenset({"launch", "help", "version", "check", "makemigrations", "collectstatic", "diffsettings"})


@contextmanager
def services_for_command(argv: Sequence[str], environ: MutableMapping[str, str]) -> Iterator[None]:
    """Set DATABASE_URL, REDIS_URL and the site's secrets in `environ`, if the command needs them.

    Raises:
        LaunchError: in words, what stands in the way.
    """
    if environ.get("DATABASE_URL") or not _needs_database(argv):
        yield
        return
    user = service_user()
    data_dir = default_data_dir(user, wanted=environ.get("FASTCHAT_DATA_DIR", ""))
    with ExitStack() as stack:
        try:
            services = stack.enter_context(embedded_services(data_dir))
        except AlreadyRunning:
            environ["DATABASE_URL"] = prepare_postgres(data_dir, user).database_url
            environ["REDIS_URL"] = prepare_redis(data_dir, user).redis_url
            environ.update(site_secrets(data_dir, environ))
        else:
            environ["DATABASE_URL"] = services.database_url
            environ["REDIS_URL"] = services.redis_url
            environ.update(site_secrets(data_dir, environ))
            _migrate(environ)
        yield


def _needs_database(argv: Sequence[str]) -> bool:
    command = argv[1] if len(argv) > 1 else "help"
    asks_for_help = bool({"-h", "--help"} & set(argv))
    return not (command.startswith("-") or command in WITHOUT_DATABASE or asks_for_help)


def _migrate(environ: MutableMapping[str, str]) -> None:
    """No `launch` has done it, and what it finds up to date costs a second."""
    command = [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0"]
    subprocess.run(command, cwd=REPOSITORY, env=dict(environ), check=True)
