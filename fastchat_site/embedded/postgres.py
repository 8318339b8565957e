"""A real Postgres 18 on a unix socket, as a child of this process: its command, its two roles, its leftovers.

Its files are made in `cluster`; `services` and `supervisor` start the command and watch it. It never listens on TCP.
Besides the superuser that only this module uses there is one role for the site, which owns its database and no more.
"""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from .binaries import postgres_bin
from .cluster import ADMIN_ROLE, CLUSTER_FOLDER, ensure_cluster
from .errors import ServiceNotReady
from .identity import ServiceUser
from .paths import socket_dir
from .process import SERVICE_ENV, ProcessSpec

SITE_ROLE = SITE_DATABASE = "fastchat"
PORT = 5432  # only part of the socket's file name
LEFTOVER_LIMIT_S = 15.0
LEFTOVER_PATIENCE_S = 5.0

SETTINGS = ("listen_addresses=", f"port={PORT}", "unix_socket_permissions=0700", "max_connections=200",
            "log_line_prefix=%m [%p] ",
            # Else a row that is refused stands in the log with all that is in it.
            "log_error_verbosity=terse", "log_min_error_statement=panic")  # fmt: skip
# For tests only: a crash of the machine (not of Postgres) would lose or corrupt data.
NOT_DURABLE = ("fsync=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class Postgres:
    """One cluster: `folder` holds its files, `sockets` its socket."""

    folder: Path
    sockets: Path
    bin: Path
    user: ServiceUser
    admin_password: str
    site_password: str
    durable: bool

    @property
    def database_url(self) -> str:
        """What Django, django-environ and libpq all understand: the socket's folder as the option `host`."""
        return self._url(SITE_ROLE, self.site_password, SITE_DATABASE)

    def process(self) -> ProcessSpec:
        """The server as a child; SIGINT is its fast shutdown, which does not wait for clients to leave."""
        settings = SETTINGS if self.durable else (*SETTINGS, *NOT_DURABLE)
        options = [part for setting in settings for part in ("-c", setting)]
        return ProcessSpec(
            name="postgres",
            argv=(str(self.bin / "postgres"), "-D", str(self.folder), "-k", str(self.sockets), *options),
            env=SERVICE_ENV,
            cwd=self.folder,
            ready=self.is_ready,
            hurried_stop_s=3.0,
            user=self.user,
            stop_signal=signal.SIGINT,
            prepare=self.clear_leftovers,
        )

    def is_ready(self, _lines: Sequence[str] = ()) -> bool:
        """Whether it answers a login; while it recovers from a crash it takes connections but refuses them."""
        try:
            with psycopg.connect(self._url(ADMIN_ROLE, self.admin_password, "postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def ensure_site_database(self) -> None:
        """Make the site's role and database, and pgvector in every later database; the second time does nothing."""
        with psycopg.connect(self._url(ADMIN_ROLE, self.admin_password, "template1"), autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SITE_ROLE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                        sql.Identifier(SITE_ROLE), sql.Literal(self.site_password)
                    )
                )
        with psycopg.connect(self._url(ADMIN_ROLE, self.admin_password, "postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [SITE_DATABASE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(SITE_DATABASE), sql.Identifier(SITE_ROLE)
                    )
                )

    def clear_leftovers(self) -> None:
        """Wait for what is left of an earlier server, then remove its lock files.

        Postgres removes them itself unless their pid lives, and after a restart of the machine or container that pid
        often belongs to someone else. With no Postgres process left in the folder they are stale for certain.
        """
        started = time.monotonic()
        pushed = False
        while leftovers := processes_in(self.folder):
            waited = time.monotonic() - started
            if waited > LEFTOVER_LIMIT_S:
                raise ServiceNotReady(f"An earlier Postgres in {self.folder} does not end (process {leftovers[0]}).")
            if waited > LEFTOVER_PATIENCE_S and not pushed:
                pushed = True
                for pid in leftovers:
                    _push(pid)
            time.sleep(0.02)
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        (self.sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgres://{role}:{quote(password)}@/{database}?host={quote(str(self.sockets))}&port={PORT}"


def prepare_postgres(data_dir: Path, user: ServiceUser, *, durable: bool = True) -> Postgres:
    """Find the binaries, and create the cluster if the data directory has none yet.

    Raises:
        WrongPostgresVersion: the cluster was written by another major version.
        InitdbFailed: the cluster cannot be created.
        DataDirUnusable: the folder is not ours, or its passwords are gone.
    """
    bin_folder = postgres_bin(data_dir, user)
    passwords = ensure_cluster(data_dir, bin_folder, user, durable=durable)
    return Postgres(
        folder=data_dir / CLUSTER_FOLDER,
        sockets=socket_dir(data_dir, user),
        bin=bin_folder,
        user=user,
        admin_password=passwords["admin"],
        site_password=passwords["site"],
        durable=durable,
    )


def processes_in(folder: Path) -> list[int]:
    """Pids of the Postgres processes (server and backends) that work in this folder."""
    wanted = str(folder.resolve())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            at_home = str((entry / "cwd").readlink()) == wanted
            program = str((entry / "exe").readlink()).removesuffix(" (deleted)")
        except OSError:  # it ended meanwhile, or belongs to another user and so cannot work in our folder
            continue
        if at_home and program.endswith("/postgres"):
            found.append(int(entry.name))
    return found


def _push(pid: int) -> None:
    """End an earlier server at once (its immediate shutdown: the next start recovers, nothing committed is lost)."""
    try:
        os.kill(pid, signal.SIGQUIT)
    except ProcessLookupError:
        return
