"""A person takes chats along, brings others, and shares one with somebody who has no account."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.conversations.test_exchange import CHATGPT
from tests.web.conftest import NewTab
from tests.web.support import ChatPage, ScriptedWorker, sign_up
from tests.web.test_branches import ask, said

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_a_chat_is_shared_read_by_a_stranger_and_revoked(
    tab: ChatPage, worker: ScriptedWorker, new_tab: NewTab, artifacts: Path
) -> None:
    tab.open(model=worker.model)
    expect(tab.page.locator("#share-open")).to_be_hidden()
    ask(tab, worker.fake, "What is red?", "A fox.")
    tab.page.locator("#share-open").click()
    dialog = tab.page.locator("#dialog-share")
    dialog.get_by_role("button", name="Make a link").click()
    address = dialog.locator(".links__address").input_value()
    tab.page.screenshot(path=artifacts / "share.png")

    stranger = new_tab(viewport={"width": 390, "height": 844}, color_scheme="dark")
    stranger.page.goto(address)
    expect(stranger.page.locator(".message--answer")).to_contain_text("A fox.")
    stranger.page.screenshot(path=artifacts / "shared-phone-dark.png")

    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog).to_contain_text("no link")
    response = stranger.page.goto(address)
    assert response is not None
    assert response.status == 404
    stranger.problems.clear()  # the browser logs the 404 itself


def test_chats_go_out_and_come_in_again(tab: ChatPage, worker: ScriptedWorker, tmp_path: Path, artifacts: Path) -> None:
    sign_up(tab)
    tab.open(model=worker.model)
    ask(tab, worker.fake, "What is red?", "A fox.")
    tab.page.locator("#share-open").click()
    with tab.page.expect_download() as markdown:
        tab.page.get_by_role("link", name="Markdown").click()
    assert "## You\n\nWhat is red?" in Path(markdown.value.path()).read_text()

    tab.page.goto(tab.site.url + "/chats")
    with tab.page.expect_download() as everything:
        tab.page.get_by_role("link", name="JSON").click()
    exported = tmp_path / "chats.json"
    everything.value.save_as(exported)
    tab.page.get_by_role("link", name="Import chats").click()
    tab.page.screenshot(path=artifacts / "import.png")
    tab.page.set_input_files("#import-file", exported)
    tab.page.get_by_role("button", name="Import").click()
    expect(tab.page.get_by_text("1 chat with 2 messages imported.")).to_be_visible()
    expect(tab.page.get_by_role("link", name="What is red?")).to_have_count(2)

    foreign = tmp_path / "conversations.json"
    foreign.write_text(json.dumps(CHATGPT))
    tab.page.goto(tab.site.url + "/chats/import")
    tab.page.set_input_files("#import-file", foreign)
    tab.page.get_by_role("button", name="Import").click()
    tab.page.get_by_role("link", name="Foxes").click()
    tab.page.wait_for_load_state()
    assert said(tab)[0] == "Hi"
    tab.page.locator('[data-step=previous]:not([data-show=""])').click()
    expect(tab.last_answer).to_contain_text("Hello")


def test_a_broken_file_is_refused_in_words(tab: ChatPage, tmp_path: Path) -> None:
    sign_up(tab)
    broken = tmp_path / "chats.json"
    broken.write_text('[{"mapping": []}]')
    tab.page.goto(tab.site.url + "/chats/import")
    tab.page.set_input_files("#import-file", broken)
    tab.page.get_by_role("button", name="Import").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("Nothing of it was stored")
    tab.problems.clear()  # the browser logs the refusal itself
