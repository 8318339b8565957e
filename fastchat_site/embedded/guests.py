"""Commands that use services which another process runs: when they may come in, and who waits for them.

A lock on one file, `guests.lock`: shared for every guest, exclusive while nobody may come in. The kernel gives it back
when its holder ends, however it ends.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOOKING_S = 1.0


@contextmanager
def closed_to_guests(data_dir: Path) -> Iterator[None]:
    """Let no guest in before there are tables to use.

    A command that looks whether it may come in holds the lock for an instant; a guest left over from a launch that was
    killed may hold it for hours, and is not waited for.
    """
    deadline = time.monotonic() + LOOKING_S
    with ExitStack() as stack:
        while not hold_lock(data_dir, fcntl.LOCK_EX | fcntl.LOCK_NB, stack) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield


def hold_guest_lock(data_dir: Path, stack: ExitStack) -> bool:
    """Be a guest until the stack is closed; false while nobody may come in."""
    return hold_lock(data_dir, fcntl.LOCK_SH | fcntl.LOCK_NB, stack)


def wait_for_guests(data_dir: Path, stack: ExitStack) -> None:
    """Wait until the guests have ended, and let no other in until the stack is closed."""
    if not hold_lock(data_dir, fcntl.LOCK_EX | fcntl.LOCK_NB, stack):
        sys.stderr.write("Another command still uses this database: waiting for its end.\n")
        hold_lock(data_dir, fcntl.LOCK_EX, stack)


def hold_lock(data_dir: Path, kind: int, stack: ExitStack) -> bool:
    """Take the lock for the life of the stack; false if it is held and `kind` says not to wait."""
    descriptor = os.open(data_dir / "guests.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        os.close(descriptor)
        return False
    stack.callback(os.close, descriptor)
    return True
