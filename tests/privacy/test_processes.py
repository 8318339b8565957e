"""The whole way with real processes: asked for in a browser, killed half-way by `kill -9`, and carried out."""

import re

import httpx
import pytest

from tests.live import LiveSite, start_process, wait_until

pytestmark = pytest.mark.processes

NAME = "zanzibarquokka"
N_CHATS = 600
MAKE_CHATS = f"""
from django.utils import timezone
from apps.accounts.models import User
from apps.conversations.models import Conversation, Message
user = User.objects.get(username={NAME!r})
for _ in range({N_CHATS}):
    chat = Conversation.objects.create(user=user, title={NAME!r}, updated_at=timezone.now())
    Message.objects.bulk_create(Message(conversation=chat, role="user", content={NAME!r}) for _ in range(5))
"""
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

    with httpx.Client(base_url=own_site.url, follow_redirects=True, trust_env=False) as browser:
        form = token_of(browser.get("/accounts/signup/"))
        secret = "correct horse battery"
        browser.post("/accounts/signup/", data=form | {"username": NAME, "password1": secret, "password2": secret})
        own_site.manage("shell", "-c", MAKE_CHATS)
        browser.get("/chats/search", params={"q": NAME})
        page = browser.get("/account/erase")
        assert f"chats: {N_CHATS}" in page.text
        state = browser.post("/account/erase", data=token_of(page) | {"password": secret, "is_sure": "on"})
        assert "It is being carried out" in state.text

        job = start_process(["-c", WORK], env=own_site.env, log=own_site.logs / "first.log")
        wait_until(lambda: 0 < n_chats() < N_CHATS - 50, what="some of the chats to be gone")
        job.kill()
        assert 0 < n_chats() < N_CHATS
        own_site.query("UPDATE privacy_erasurerequest SET lease_expires_at = now() RETURNING id")

        job = start_process(["-c", WORK], env=own_site.env, log=own_site.logs / "second.log")
        assert job.popen.wait(60) == 0, job.log.read_text()
        assert n_chats() == 0
        assert own_site.query("SELECT id FROM accounts_user") == []
        assert "It is erased" in browser.get(state.url.path).text
    for log in own_site.logs.glob("*.log"):
        assert NAME not in log.read_text(), log
