"""Which user the embedded services run as, and what that user can reach.

As an ordinary user: that user. As root: an unprivileged one, because Postgres refuses to run as root and Redis should
not. It changes no mode of a folder that it did not make.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import DataDirUnusable

# An administrator who wants the data apart from everything else that runs as `nobody` creates the first one.
SERVICE_USERS = ("fastchat-site", "nobody")


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """Whom the services run as; `drops` says that the launcher has to change to that user first."""

    name: str
    uid: int
    gid: int
    drops: bool

    def can(self, test: str, path: Path) -> bool:
        """Ask the kernel as that user: test is a file test of test(1): "-x" reach a folder or run a file, "-r" read."""
        if not self.drops:
            return subprocess.run(["test", test, str(path)], check=False).returncode == 0
        done = subprocess.run(
            ["test", test, str(path)], check=False, user=self.uid, group=self.gid, extra_groups=[], cwd="/"
        )
        return done.returncode == 0

    def own(self, path: Path) -> None:
        """Give a file or folder that the launcher made to this user."""
        if self.drops:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def service_user() -> ServiceUser:
    """Choose the user for the embedded services on this machine.

    Raises:
        DataDirUnusable: we have no name (Postgres needs one), or are root and there is no user to drop to.
    """
    if os.geteuid() != 0:
        user = current_user()
        if not user.name:
            raise DataDirUnusable(f"User id {user.uid} has no name, and Postgres needs one: add it to /etc/passwd.")
        return user
    for name in SERVICE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid, drops=True)
    raise DataDirUnusable(
        f"Postgres cannot run as root and none of the users {', '.join(SERVICE_USERS)} exists: add one."
    )


def current_user() -> ServiceUser:
    """Whoever runs us, for a site without embedded services; nameless users of containers are fine."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    return ServiceUser(name=name, uid=uid, gid=os.getegid(), drops=False)
