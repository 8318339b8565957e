"""`python -m gpu_worker.engine.keeper COMMAND...`: runs a child server that never outlives the worker.

The worker holds the other end of standard input. When that closes, also because the worker was killed, the child and
all that it started are ended. Exits as the child does.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

PATIENCE_S = 5.0
"""Between asking a child to end and killing it."""


def main(command: Sequence[str]) -> int:
    children: list[subprocess.Popen[bytes]] = []
    told: list[int] = []

    def end(number: int, frame: object) -> None:
        told.append(number)
        for child in children:
            _end(child)

    # Before there is a child, which would else outlive a keeper that is told to end at that moment. Ctrl-C goes to the
    # whole terminal, and the worker decides when to end; a child would inherit it if it were ignored.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, end)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    children.append(child)
    if told:
        _end(child)
    threading.Thread(target=_watch_stdin, args=(child,), daemon=True).start()
    status = child.wait()
    _signal(child, signal.SIGKILL)  # what it may have started
    return status if status >= 0 else 128 - status


def _watch_stdin(child: "subprocess.Popen[bytes]") -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    _signal(child, signal.SIGTERM)
    killing = threading.Timer(PATIENCE_S, _signal, (child, signal.SIGKILL))
    killing.daemon = True
    killing.start()


def _signal(child: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
