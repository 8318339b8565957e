"""`kill -9` of the launcher itself. It comes last in this folder: afterwards there is no site."""

from time import monotonic

import psutil
import pytest

from tests.faults.launched import Launched
from tests.live import wait_until

pytestmark = pytest.mark.processes


def test_nothing_is_left_when_the_launcher_is_killed(site: Launched, rows: list[str]) -> None:
    processes = site.descendants()
    assert len(processes) >= 5
    killed_at = monotonic()
    site.launcher.kill()
    wait_until(lambda: not any(_is_running(p) for p in processes), what="every process to end")
    gone_s = monotonic() - killed_at
    rows.append(
        f"| launcher | ends with the site | tries to reconnect | - | all processes gone after {gone_s:.1f} s | - |"
    )


def _is_running(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
