"""Who a worker is at its site, kept in a file over restarts: its id and the secret that it enrolled for."""

import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path


class IdentityUnusable(ValueError):
    """The file cannot be read or written, or is none of ours. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Identity:
    worker_id: str
    secret: str = field(repr=False)


def read_identity(path: Path) -> Identity | None:
    """None if there is no file yet, but could be one. Raises: IdentityUnusable."""
    try:
        values = json.loads(path.read_text())
        return Identity(str(uuid.UUID(values["worker_id"])), str(values["secret"]))
    except FileNotFoundError as exc:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise IdentityUnusable(f"--identity {path}: its folder is missing or not writable") from exc
        return None
    except OSError as exc:
        raise IdentityUnusable(f"--identity {path} cannot be read: {exc.strerror}") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise IdentityUnusable(f"--identity {path} is no identity of a worker; name another file or remove it") from exc


def write_identity(path: Path, identity: Identity) -> None:
    """Replace the file, whole or not at all; only its owner can read it. Raises: OSError."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as out:
        json.dump(asdict(identity), out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
