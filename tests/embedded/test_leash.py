"""The leash: what it starts ends with whoever started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastchat_site.embedded.leash import EXIT_CANNOT_EXEC, EXIT_ORPHANED
from fastchat_site.embedded.process import LEASH

from .support import PYTHON, read_line, started_python, wait_for, wait_until_gone

START_LEASHED = """
import subprocess, sys
from fastchat_site.embedded.process import leashed
child = subprocess.Popen(leashed(sys.argv[2:], stop_signal=int(sys.argv[1])))
print(child.pid, flush=True)
child.wait()
"""
WRITE_SIGNAL_THEN_END = """
import pathlib, signal, sys, time
def write(number, frame):
    pathlib.Path(sys.argv[1]).write_text(str(number))
    sys.exit()
signal.signal(signal.SIGINT, write)
signal.signal(signal.SIGTERM, write)
pathlib.Path(sys.argv[2]).touch()
while True:
    signal.pause()
"""


def test_the_command_ends_with_a_killed_parent_by_the_signal_chosen_for_it(tmp_path: Path) -> None:
    told, up = tmp_path / "signal", tmp_path / "up"
    command = [*PYTHON, WRITE_SIGNAL_THEN_END, str(told), str(up)]
    with started_python(START_LEASHED, str(int(signal.SIGINT)), *command) as parent:
        pid = int(read_line(parent))
        wait_for(up.exists, what="the start of the command")
    wait_until_gone([pid])
    assert told.read_text() == str(int(signal.SIGINT))


def test_a_command_whose_parent_has_gone_already_is_not_started() -> None:
    done = subprocess.run([sys.executable, str(LEASH), "--parent", "1", "--", "true"], check=False)
    assert done.returncode == EXIT_ORPHANED


def test_the_command_has_the_pid_and_the_exit_status_of_the_leash() -> None:
    line = [sys.executable, str(LEASH), "--parent", str(os.getpid()), "--", "sh", "-c", "echo $$; exit 7"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid
    assert process.returncode == 7


def test_a_command_that_does_not_exist_is_named() -> None:
    line = [sys.executable, str(LEASH), "--parent", str(os.getpid()), "--", "no-such-command"]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    assert done.returncode == EXIT_CANNOT_EXEC
    assert "cannot run no-such-command: No such file or directory" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_is_given_up_for_good() -> None:
    try_to_return = "import os; print(os.getresuid(), os.getgroups()); os.setuid(0)"
    line = [sys.executable, str(LEASH), "--parent", str(os.getpid()), "--user", "nobody", "--"]
    line += ["/usr/bin/env", "python3", "-c", try_to_return]
    done = subprocess.run(line, check=False, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert done.stdout == "(65534, 65534, 65534) []\n"
    assert "PermissionError" in done.stderr
