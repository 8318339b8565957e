"""`kill -9` of each process under load: what a person sees, and how long until the next answer.

Each run writes the matrix to test-artifacts/kill-matrix.md; docs/log.md holds one of them.
"""

import os
import signal
from time import monotonic

import pytest

from apps.conversations.markdown import render
from tests.chat_client import ChatClient, Shown
from tests.faults.launched import Launched, load
from tests.live import wait_until

pytestmark = pytest.mark.processes

# What a person must see: the state of the answer, its error, and whether the page had to reconnect.
EXPECTED = {
    "jobs": ("complete", None, False),
    "redis": ("complete", None, False),
    "postgres": ("complete", None, False),
    "worker": ("failed", "workers.died", False),
    "web": ("complete", None, True),
}


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
