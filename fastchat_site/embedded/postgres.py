"""A real Postgres 18 on a unix socket, as a child of this process: its folder, its command, its two roles.

It does not supervise: `services` and `supervisor` start the command and watch it. It never listens on TCP.
Besides the superuser that only this module uses there is one role for the site, which owns its database and no more.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from .binaries import postgres_bin
from .errors import DataDirUnusable, InitdbFailed, ServiceNotReady, WrongPostgresVersion
from .identity import ServiceUser
from .paths import owned_folder, read_private_json, socket_dir, write_private_json
from .process import ProcessSpec, leashed

MAJOR_VERSION = "18"
ADMIN_ROLE = "fastchat_admin"
SITE_ROLE = SITE_DATABASE = "fastchat"
PORT = 5432  # only part of the socket's file name
SERVICE_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}  # nothing of ours: no secret reaches a server that needs none
LEFTOVER_LIMIT_S = 15.0
LEFTOVER_PATIENCE_S = 5.0

SETTINGS = ("listen_addresses=", f"port={PORT}", "unix_socket_permissions=0700", "max_connections=200",
            "log_line_prefix=%m [%p] ")  # fmt: skip
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
    folder = data_dir / "postgres"
    bin_folder = postgres_bin(data_dir, user)
    passwords = _passwords(data_dir, exists=folder.exists())
    if folder.exists():
        owned_folder(folder, user)
        _check_version(folder)
    else:
        _initdb(bin_folder, folder, user, passwords["admin"], durable=durable)
    return Postgres(
        folder=folder,
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


def _passwords(data_dir: Path, *, exists: bool) -> dict[str, str]:
    path = data_dir / "postgres.json"
    passwords = read_private_json(path)
    if passwords:
        return passwords
    if exists:
        raise DataDirUnusable(f"{path} is missing: it holds the passwords of the database in {data_dir / 'postgres'}.")
    passwords = {"admin": secrets.token_urlsafe(24), "site": secrets.token_urlsafe(24)}
    write_private_json(path, passwords)
    return passwords


def _check_version(folder: Path) -> None:
    found = (folder / "PG_VERSION").read_text().strip()
    if found != MAJOR_VERSION:
        raise WrongPostgresVersion(
            f"The database in {folder} was written by Postgres {found}, and this site brings Postgres {MAJOR_VERSION}: "
            f"dump it with the old version and load it into a new --data-dir. Nothing was changed."
        )


def _initdb(bin_folder: Path, folder: Path, user: ServiceUser, password: str, *, durable: bool) -> None:
    """Create the cluster under another name and rename it, so that a half-made one is never taken for a whole one."""
    fresh = folder.with_name("postgres.new")
    password_file = folder.with_name("postgres-password.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        owned_folder(fresh, user)
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        user.own(password_file)
        _run_initdb(bin_folder, fresh, user, password_file, durable=durable)
        fresh.rename(folder)
    except OSError as exc:
        raise InitdbFailed(f"The database folder {folder} cannot be made: {exc.strerror}.") from exc
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)


def _run_initdb(bin_folder: Path, folder: Path, user: ServiceUser, password_file: Path, *, durable: bool) -> None:
    command = [
        str(bin_folder / "initdb"), "-D", str(folder), f"--username={ADMIN_ROLE}", f"--pwfile={password_file}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8", "--no-instructions",
    ]  # fmt: skip
    if not durable:
        command.append("--no-sync")
    done = subprocess.run(
        leashed(command, user=user),
        env=SERVICE_ENV,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise InitdbFailed(f"Postgres could not create its data directory {folder}:\n{last}")
