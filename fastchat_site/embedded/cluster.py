"""The files of the Postgres cluster: made once by initdb, and refused when another version wrote them.

The server that works on them is in `postgres`.
"""

import secrets
import shutil
import subprocess
from pathlib import Path

from .errors import DataDirUnusable, InitdbFailed, WrongPostgresVersion
from .identity import ServiceUser
from .paths import owned_folder, read_private_json, write_private_json
from .process import SERVICE_ENV, leashed

MAJOR_VERSION = "18"
ADMIN_ROLE = "fastchat_admin"
CLUSTER_FOLDER = "postgres"


def ensure_cluster(data_dir: Path, bin_folder: Path, user: ServiceUser, *, durable: bool) -> dict[str, str]:
    """Create the cluster if the data directory has none yet; returns the passwords of the roles `admin` and `site`.

    Raises:
        WrongPostgresVersion: the cluster was written by another major version.
        InitdbFailed: the cluster cannot be created.
        DataDirUnusable: the folder is not ours, or its passwords are gone.
    """
    folder = data_dir / CLUSTER_FOLDER
    passwords = _passwords(data_dir, exists=folder.exists())
    if folder.exists():
        owned_folder(folder, user)
        _check_version(folder)
    else:
        _create(bin_folder, folder, user, passwords["admin"], durable=durable)
    return passwords


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


def _create(bin_folder: Path, folder: Path, user: ServiceUser, password: str, *, durable: bool) -> None:
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
        _initdb(bin_folder, fresh, user, password_file, durable=durable)
        fresh.rename(folder)
    except OSError as exc:
        raise InitdbFailed(f"The database folder {folder} cannot be made: {exc.strerror}.") from exc
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)


def _initdb(bin_folder: Path, folder: Path, user: ServiceUser, password_file: Path, *, durable: bool) -> None:
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
