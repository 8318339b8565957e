"""Child servers: started with a key of their own, and gone when the worker is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_worker.engine.child import ChildFailed, ChildServer
from tests.gpu_worker.live_worker import eventually
from tests.live import ROOT

SLEEPER = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"

SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        is_known = self.headers["Authorization"] == "Bearer " + os.environ["KEY"]
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

    def log_message(self, *arguments):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def keeper(program: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "gpu_worker.engine.keeper", sys.executable, "-c", program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_child_ends_when_the_worker_lets_go_however_that_happens() -> None:
    with keeper(SLEEPER) as keeping:
        assert keeping.stdout is not None
        assert keeping.stdin is not None
        pid = int(keeping.stdout.readline())
        assert is_alive(pid)
        keeping.stdin.close()  # as the kernel does for a worker that was killed
        assert keeping.wait(20) != 0
    eventually(lambda: not is_alive(pid))


def test_a_keeper_that_is_told_to_end_takes_its_child_along() -> None:
    with keeper(SLEEPER) as keeping:
        assert keeping.stdout is not None
        pid = int(keeping.stdout.readline())
        keeping.terminate()
        keeping.wait(20)
    eventually(lambda: not is_alive(pid))


TOLD_AT_ONCE = """
import os, signal, subprocess, sys
from gpu_worker.engine import keeper

spawn = subprocess.Popen

def spawn_and_be_told(*arguments, **options):
    child = spawn(*arguments, **options)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    return child

subprocess.Popen = spawn_and_be_told
sys.exit(keeper.main(sys.argv[1:]))
"""


def test_a_keeper_that_is_told_to_end_while_it_starts_takes_its_child_along() -> None:
    command = [sys.executable, "-c", TOLD_AT_ONCE, "sleep", "600"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as keeping:
        assert keeping.stdout is not None
        pid = int(keeping.stdout.readline())
        assert keeping.wait(20) == 128 + 15
    assert not is_alive(pid)


def test_a_keeper_exits_as_its_child_does() -> None:
    with keeper("raise SystemExit(7)") as keeping:
        assert keeping.wait(20) == 7


def test_a_child_serves_the_worker_alone_and_each_start_has_another_key() -> None:
    import httpx

    child = ChildServer(lambda port: [sys.executable, "-c", SERVER, str(port)], key_variable="KEY")
    child.start()
    try:
        assert "KEY" not in os.environ
        first = child.headers
        assert httpx.get(child.url, trust_env=False).status_code == 401
        pid = int(httpx.get(child.url, headers=first, trust_env=False).text)
        command_line = Path(f"/proc/{pid}/cmdline").read_text()
        assert first["Authorization"].removeprefix("Bearer ") not in command_line
        assert child.stop(20)
        eventually(lambda: not is_alive(pid))
        child.start()
        assert child.headers != first
    finally:
        assert child.stop(20)


def test_a_child_that_cannot_start_says_so() -> None:
    child = ChildServer(lambda port: [sys.executable, "-c", "raise SystemExit(3)"], key_variable="KEY")
    with pytest.raises(ChildFailed, match="status 3"):
        child.start()
    assert child.stop(5)
