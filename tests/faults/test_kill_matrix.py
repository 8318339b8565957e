"""`kill -9` of each process under load: what a person sees, and how long until the next answer.

Each run writes the matrix to test-artifacts/kill-matrix.md; docs/log.md holds one of them.
"""

import os
import signal
from collections.abc import Iterator
from time import monotonic

import psutil
import pytest

from apps.conversations.markdown import render
from fastchat_site.embedded.services import scratch_data_dir
from tests.chat_client import ChatClient, Shown
from tests.faults.launched import Launched, launched, load
from tests.gpu_worker.tiny_models import Shape, make_tiny_model
from tests.live import ROOT, wait_until

pytestmark = pytest.mark.processes

ARTIFACT = ROOT / "test-artifacts" / "kill-matrix.md"
HEAD = """| killed | the answer meanwhile | the page | next answer after | process back after | API calls meanwhile |
|---|---|---|---|---|---|
"""
# What a person must see: the state of the answer, its error, and whether the page had to reconnect.
EXPECTED = {
    "jobs": ("complete", None, False),
    "redis": ("complete", None, False),
    "postgres": ("complete", None, False),
    "worker": ("failed", "workers.died", False),
    "web": ("complete", None, True),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("kill")
    model = make_tiny_model(folder / "tiny", shape=Shape(context=4096))
    with scratch_data_dir() as data_dir, launched(model, "tiny", data_dir, folder / "launch.log") as site:
        yield site


@pytest.fixture(scope="module")
def key(site: Launched) -> str:
    return site.api_key()


@pytest.fixture(scope="module")
def rows() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    ARTIFACT.parent.mkdir(exist_ok=True)
    ARTIFACT.write_text(HEAD + "\n".join(rows) + "\n")


@pytest.mark.parametrize("victim", EXPECTED)
def test_the_site_recovers_by_itself_when_a_process_is_killed(
    site: Launched, key: str, rows: list[str], victim: str
) -> None:
    page, other_page = ChatClient(site.url), ChatClient(site.url)
    with load(site.url, key, "tiny") as outcomes:
        accepted = page.send_turn("Tell me a long story", "tiny")
        generation, shown = str(accepted["generation"]), Shown()
        page.watch(generation, shown, until=lambda s: len(s.html) > 200)
        outcomes.clear()

        pid = site.process(victim).pid
        killed_at = monotonic()
        os.kill(pid, signal.SIGKILL)
        next_answer_s = first_text_of_a_new_turn(other_page) - killed_at
        wait_until(lambda: site.has_replaced(victim, pid), what=f"a new {victim}")
        back_s = monotonic() - killed_at
        page.watch(generation, shown, until=lambda s: s.has_ended)

    error = shown.error["code"] if shown.error else None
    assert (shown.state, error, page.n_connections > 1) == EXPECTED[victim]
    [(stored,)] = site.query(
        "SELECT m.content FROM conversations_message m JOIN conversations_generation g ON g.message_id = m.id"
        " WHERE g.public_id = %s",
        generation,
    )
    assert "".join(shown.blocks) == render(str(stored))
    assert len(str(stored)) > 200
    page.close()
    other_page.close()
    reconnects = "reconnected by itself" if page.n_connections > 1 else "stayed connected"
    answer = shown.state if error is None else f"{shown.state} ({error}), text so far kept"
    calls = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
    rows.append(f"| {victim} | {answer} | {reconnects} | {next_answer_s:.1f} s | {back_s:.1f} s | {calls} |")


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


def first_text_of_a_new_turn(page: ChatClient, limit_s: float = 60.0) -> float:
    """Ask again and again until an answer begins; return when. The answer is stopped."""
    end = monotonic() + limit_s
    while monotonic() < end:
        reply = page.send_turn("Hello", "tiny")
        if reply["type"] != "turn.accepted":
            continue
        generation, shown = str(reply["generation"]), Shown()
        page.watch(generation, shown, until=lambda s: s.html or s.has_ended)
        if shown.html:
            began = monotonic()
            page.stop(generation)
            page.watch(generation, shown, until=lambda s: s.has_ended)
            return began
    raise TimeoutError(f"no answer began within {limit_s:g} s")


def _is_running(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
