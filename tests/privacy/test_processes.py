"""The whole way with real processes: asked for in a browser, killed half-way by `kill -9`, and carried out."""

import json
import re

import httpx
import psycopg
import pytest

from tests.live import START_LIMIT_S, LiveSite, start_process, wait_until

pytestmark = pytest.mark.processes

NAME = "zanzibarquokka"
N_CHATS, N_LEFT = 30, 5
"""In the beginning, and when the job dies: after more than one handful (`ERASED_AT_ONCE`)."""
CHAT = {"messages": [{"role": role, "content": NAME} for role in ("user", "assistant", "user", "assistant", "user")]}
LOCK = """SELECT FROM conversations_conversation WHERE id = (
    SELECT id FROM conversations_conversation ORDER BY id OFFSET %s LIMIT 1
) FOR UPDATE"""
WORK = "import django; django.setup(); from apps.privacy.tasks import erasures_advance_task as work; work()"


def token_of(page: httpx.Response) -> dict[str, str]:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found is not None
    return {"csrfmiddlewaretoken": found[1]}


def test_an_erasure_survives_the_death_of_its_job(own_site: LiveSite) -> None:
    def n_chats() -> int:
        [[n]] = own_site.query("SELECT count(*) FROM conversations_conversation")
        assert isinstance(n, int)
        return n

    with httpx.Client(base_url=own_site.url, follow_redirects=True, trust_env=False, timeout=60) as browser:
        form = token_of(browser.get("/accounts/signup/"))
        secret = "correct horse battery"
        browser.post("/accounts/signup/", data=form | {"username": NAME, "password1": secret, "password2": secret})
        chats = {"file": ("chats.json", json.dumps([CHAT] * N_CHATS))}
        imported = browser.post("/chats/import", data=token_of(browser.get("/chats/import")), files=chats)
        assert f"{N_CHATS} chats with" in imported.text
        browser.get("/chats/search", params={"q": NAME})
        page = browser.get("/account/erase")
        assert f"chats: {N_CHATS}" in page.text
        state = browser.post("/account/erase", data=token_of(page) | {"password": secret, "is_sure": "on"})
        assert "It is being carried out" in state.text

        with psycopg.connect(own_site.env["DATABASE_URL"]) as in_the_way:
            # It waits for this one in the middle of its work, however fast it is.
            in_the_way.execute(LOCK, [N_CHATS - N_LEFT])
            job = start_process(["-c", WORK], env=own_site.env, log=own_site.logs / "first.log")
            wait_until(lambda: n_chats() == N_LEFT, what="some of the chats to be gone", limit_s=START_LIMIT_S)
            job.kill()
        assert n_chats() == N_LEFT
        own_site.query("UPDATE privacy_erasurerequest SET lease_expires_at = now() RETURNING id")

        job = start_process(["-c", WORK], env=own_site.env, log=own_site.logs / "second.log")
        assert job.popen.wait(START_LIMIT_S) == 0, job.log.read_text()
        assert n_chats() == 0
        assert own_site.query("SELECT id FROM accounts_user") == []
        assert "It is erased" in browser.get(state.url.path).text
    for log in own_site.logs.glob("*.log"):
        assert NAME not in log.read_text(), log
