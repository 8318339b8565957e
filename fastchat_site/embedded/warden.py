"""The last resort against processes left behind: it outlives a killed launcher for some seconds.

    python -I -S warden.py --limit SECONDS      (reads "+PID" and "-PID" lines)

The leash tells every child to end when the launcher dies, but a child may be slow to obey, and its own children are on
no leash. When its standard input closes, the launcher is gone: the warden waits until the process groups that it was
told of have ended, and kills what is left of them at the limit. After an orderly stop none is left and it just ends.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import suppress


def main() -> int:
    """Listen until the launcher is gone, then see its children off."""
    parser = argparse.ArgumentParser(prog="warden")
    parser.add_argument("--limit", type=float, required=True)
    limit_s: float = parser.parse_args().limit
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    deadline = time.monotonic() + limit_s
    while (groups := {group for group in groups if is_alive(group)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    return 0


def is_alive(group: int) -> bool:
    """Whether the process group has a member, a zombie included."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
