"""Where the site's data live: the folders inside the data directory, its lock, and the folder for unix sockets.

Layout: `postgres/`, `redis/`, `run/` (sockets), `logs/`, `jobs/`, `bin/` (copied binaries, only when needed),
`launch.lock`, `secrets.json`, `postgres.json`, `workers.json`.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import AlreadyRunning, DataDirUnusable
from .identity import ServiceUser

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEM_DATA = Path("/var/lib/fastchat-site")
# Source: unix(7), sun_path is 108 bytes with its closing zero.
SOCKET_PATH_MAX_BYTES = 107
LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"


def default_data_dir(user: ServiceUser, *, wanted: str = "", repository: Path = REPOSITORY) -> Path:
    """The folder asked for, else `.data` in the repository, else one under /var/lib that the service user can reach."""
    if wanted:
        return Path(wanted).absolute()
    if user.can("-x", repository):
        return repository / ".data"
    return SYSTEM_DATA / hashlib.sha256(os.fsencode(repository)).hexdigest()[:12]


def prepare_data_dir(data_dir: Path, user: ServiceUser) -> None:
    """Make the data directory and its `logs/`; the service user can pass through it, others can list nothing.

    Raises:
        DataDirUnusable: it cannot be made or written, or the service user cannot get into it.
    """
    try:
        for folder in reversed([data_dir, *data_dir.parents]):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o711 if user.drops else 0o700)
        (data_dir / "logs").mkdir(exist_ok=True, mode=0o700)
        _check_writable(data_dir)
    except OSError as exc:
        raise DataDirUnusable(f"The data directory {data_dir} cannot be written: {exc.strerror}.") from exc
    if user.drops and not user.can("-x", data_dir):
        raise DataDirUnusable(
            f"The data directory {data_dir} is out of reach for the user {user.name}, as whom Postgres and Redis run: "
            f"choose one that every user can pass through, for example with --data-dir {SYSTEM_DATA}."
        )


def _check_writable(data_dir: Path) -> None:
    probe = data_dir / f".writable.{os.getpid()}"
    probe.touch()
    probe.unlink()


def owned_folder(path: Path, user: ServiceUser) -> Path:
    """A folder of mode 0700 that belongs to the service user; made if missing, refused if it is someone else's."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        _check_owned(path, user)
        return path
    except OSError as exc:
        raise DataDirUnusable(f"The folder {path} cannot be made: {exc.strerror}.") from exc
    user.own(path)
    return path


def _check_owned(path: Path, user: ServiceUser) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DataDirUnusable(f"{path} should be a folder of the user {user.name}, but it is not a folder.")
    if found.st_uid != user.uid:
        raise DataDirUnusable(
            f"{path} belongs to user id {found.st_uid}, but Postgres and Redis would run as {user.name} here: "
            "start the site as the user who did it first, give the folder to this user, or choose another --data-dir."
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise DataDirUnusable(f"{path} is open to other users: it holds the site's data, so make it `chmod 700`.")


def socket_dir(data_dir: Path, user: ServiceUser) -> Path:
    """A private folder for the unix sockets whose path is short enough for the kernel."""
    wanted = data_dir / "run"
    if len(os.fsencode(wanted / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES:
        return owned_folder(wanted, user)
    short = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    # In /tmp anybody could make the folder first; the check of its owner is what keeps us out of theirs.
    base = Path("/run") if user.drops and Path("/run").is_dir() else Path("/tmp")  # noqa: S108
    return owned_folder(base / f"fastchat-site-{user.uid}-{short}", user)


@contextmanager
def data_dir_lock(data_dir: Path, *, address: str) -> Iterator[None]:
    """Hold the data directory for this process; the kernel lets go when it ends, however it ends.

    Raises:
        AlreadyRunning: another process holds it; the message names its pid and address.
    """
    path = data_dir / "launch.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise DataDirUnusable(f"The lock {path} cannot be opened: {exc.strerror}.") from exc
    try:
        _lock_or_refuse(descriptor, data_dir)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "address": address}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock_or_refuse(descriptor: int, data_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        holder: dict[str, object] = {}
        with suppress(ValueError):  # the holder may be writing its line this instant
            holder = json.loads(os.pread(descriptor, 4096, 0))
        raise AlreadyRunning(
            f"The data directory {data_dir} is in use by process {holder.get('pid', '?')}"
            f" at {holder.get('address') or 'no address'}: stop that one first, or choose another --data-dir."
        ) from exc


def write_private_json(path: Path, content: dict[str, str]) -> None:
    """Replace a file that only its owner can read, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(content, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def read_private_json(path: Path) -> dict[str, str]:
    """What `write_private_json` wrote, or nothing if the file does not exist yet."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise DataDirUnusable(f"{path} cannot be read: {exc}.") from exc
    if not isinstance(content, dict):
        raise DataDirUnusable(f"{path} is not a JSON object.")
    return content
