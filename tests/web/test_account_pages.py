"""The pages of keys and of usage in a real browser, and what the keys made there open at the API."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.web.support import ChatPage, ScriptedWorker

pytestmark = pytest.mark.browser

PASSWORD = "a long enough secret"
HI = [{"role": "user", "content": "Hi"}]


def sign_up(tab: ChatPage) -> str:
    name = f"dora-{uuid4().hex[:8]}"
    tab.page.goto(tab.site.url + "/accounts/signup/")
    tab.page.fill("#id_username", name)
    tab.page.fill("#id_password1", PASSWORD)
    tab.page.fill("#id_password2", PASSWORD)
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**/chat*")
    return name


def ask(tab: ChatPage, secret: str, path: str, **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.post(tab.site.url + path, json=body, headers=headers, trust_env=False, timeout=30)


def new_secret(tab: ChatPage) -> str:
    return tab.page.locator("#new-key").inner_text()


def test_a_key_is_made_for_one_model_rotated_and_revoked(tab: ChatPage, worker: ScriptedWorker) -> None:
    sign_up(tab)
    page = tab.page
    page.get_by_role("link", name="API keys").click()
    page.get_by_label("Name").fill("ci")
    page.get_by_text("Restrict it").click()
    page.get_by_label("Models").fill(worker.model)
    page.get_by_role("group", name="Only for").get_by_label("Chat", exact=True).check()
    page.get_by_role("button", name="Create key").click()
    first = new_secret(tab)

    chat = {"model": worker.model, "messages": HI}
    assert ask(tab, first, "/v1/chat/completions", **chat).status_code == 200
    other = ask(tab, first, "/v1/chat/completions", model="demo-base", messages=HI)
    assert (other.status_code, other.json()["error"]["code"]) == (404, "model_not_found")
    text = ask(tab, first, "/v1/completions", model=worker.model, prompt="x")
    assert (text.status_code, text.json()["error"]["code"]) == (403, "endpoint_not_allowed")
    listed = httpx.get(f"{tab.site.url}/v1/models", headers={"Authorization": f"Bearer {first}"}, trust_env=False)
    assert [model["id"] for model in listed.json()["data"]] == [worker.model]

    page.get_by_role("button", name="Rotate ci").click()
    page.get_by_label("The old secret").select_option("works for an hour more")
    page.get_by_role("button", name="Rotate", exact=True).click()
    second = new_secret(tab)
    assert [ask(tab, secret, "/v1/chat/completions", **chat).status_code for secret in (first, second)] == [200, 200]

    page.get_by_role("button", name="Revoke ci").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    page.get_by_text(re.compile(r"revoked \d")).wait_for()
    assert [ask(tab, secret, "/v1/chat/completions", **chat).status_code for secret in (first, second)] == [401, 401]


def test_chats_and_programs_move_the_same_meter_and_meet_the_same_limit(
    tab: ChatPage, worker: ScriptedWorker, tmp_path: Path
) -> None:
    name = sign_up(tab)
    tab.site.query(
        "INSERT INTO accounts_limit (audience, user_id, is_shared, model_name, metric, period, amount, created_at)"
        " SELECT 'user', id, false, '', 'requests', 'day', 2, now() FROM accounts_user WHERE username = %s"
        " RETURNING id",
        name,
    )
    tab.open(model=worker.model)
    tab.send("Hi")
    tab.wait_for_state("complete")
    page = tab.page
    page.get_by_role("link", name="Usage").click()
    page.get_by_text("1 of 2 used").wait_for()
    page.goto(tab.site.url + "/account/keys")
    page.get_by_label("Name").fill("ci")
    page.get_by_role("button", name="Create key").click()
    secret = new_secret(tab)
    chat = {"model": worker.model, "messages": HI}
    replies = [ask(tab, secret, "/v1/chat/completions", **chat) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 429]
    assert replies[1].json()["error"]["code"] == "quota_exceeded"

    page.get_by_role("link", name="Usage").click()
    page.get_by_text("2 of 2 used").wait_for()
    assert page.get_by_role("progressbar", name=f"2 requests a day for the user {name}").get_attribute("value") == "100"
    assert page.locator("tbody tr").inner_text().split("\t")[:2] == [worker.model, "2"]
    with page.expect_download() as download:
        page.get_by_role("link", name="Every call as CSV").click()
    download.value.save_as(tmp_path / "usage.csv")
    rows = (tmp_path / "usage.csv").read_text().splitlines()[1:]
    assert [row.split(",")[2] for row in rows] == ["", "ci"]

    tab.open(model=worker.model)
    tab.send("Once more")
    tab.wait_for_state("failed")
    page.get_by_text("The limit of 2 requests a day").first.wait_for()
