"""A person keeps chats in order, finds what was said, and loses no draft."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.fake_worker import FakeWorker, Gate
from tests.web.conftest import NewTab
from tests.web.support import ChatPage, ScriptedWorker, new_chat_page
from tests.web.test_branches import ask, edit, said

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def new_chat(tab: ChatPage, worker: ScriptedWorker, question: str, answer: str = "Yes.") -> str:
    tab.open(model=worker.model)
    ask(tab, worker.fake, question, answer)
    tab.page.wait_for_url("**/chat/*-*")
    return tab.page.url


def item(tab: ChatPage, title: str) -> Locator:
    return tab.page.locator(".history__item", has_text=title)


def groups(tab: ChatPage) -> list[str]:
    return [text.strip() for text in tab.page.locator("#history .history__day").all_text_contents()]


def test_chats_are_pinned_moved_and_archived_from_the_side_bar(
    tab: ChatPage, worker: ScriptedWorker, artifacts: Path
) -> None:
    for title in ("Foxes", "Wolves", "Bears"):
        new_chat(tab, worker, title)

    tab.press_in_history("Foxes", "Pin")
    expect(tab.page.locator("#history .history__day").first).to_have_text("Pinned")
    tab.press_in_history("Wolves", "Rename or move")
    tab.page.fill("#rename-folder", "Animals")
    tab.page.locator("#dialog-rename").get_by_role("button", name="Save").click()
    tab.page.locator(".history__folder", has_text="Animals").wait_for()
    assert groups(tab) == ["Pinned", "Animals", "Today"]
    tab.page.screenshot(path=artifacts / "history-in-order.png")
    tab.press_in_history("Bears", "Archive")
    expect(item(tab, "Bears")).to_have_count(0)

    tab.page.get_by_role("link", name="All chats").click()
    tab.page.get_by_role("link", name="Archived").click()
    tab.page.get_by_label("Choose “Bears”").check()
    tab.page.get_by_role("button", name="Put back").click()
    expect(tab.page.get_by_text("Nothing is archived.")).to_be_visible()


def test_many_chats_are_deleted_at_once_after_a_question(
    tab: ChatPage, worker: ScriptedWorker, artifacts: Path
) -> None:
    for title in ("Foxes", "Wolves"):
        new_chat(tab, worker, title)
    tab.page.goto(tab.site.url + "/chats")
    tab.page.get_by_label("All on this page").check()
    tab.page.screenshot(path=artifacts / "all-chats.png")
    tab.page.locator(".chats__bar").get_by_role("button", name="Delete").click()
    dialog = tab.page.locator("#dialog-delete")
    expect(dialog).to_contain_text("2 chats")
    dialog.get_by_role("button", name="Keep them").click()
    expect(tab.page.locator(".chats__item")).to_have_count(2)
    tab.page.locator(".chats__bar").get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(tab.page.get_by_text("There are no chats here.")).to_be_visible()


def test_a_search_opens_the_exact_message_in_its_branch(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker, artifacts: Path
) -> None:
    new_chat(tab, worker, "Where do foxes live?", "In an earthen den.")
    fake.play("On a mountain.")
    edit(tab, tab.page.locator(".message--user").first, "Where do goats live?")
    tab.wait_for_text("On a mountain.")
    tab.open(model=worker.model)

    tab.page.fill("#search-text", "earthen")
    hit = tab.page.locator("#found .found__hit")
    expect(hit).to_contain_text("In an earthen den.")
    expect(tab.page.locator("#history")).to_be_hidden()
    tab.page.screenshot(path=artifacts / "search.png")
    hit.click()

    tab.wait_for_text("In an earthen den.")
    assert said(tab) == ["Where do foxes live?", "In an earthen den."]
    expect(tab.last_answer).to_be_focused()
    tab.page.fill("#search-text", "earthen")
    hit.wait_for()
    tab.page.locator("#search-text").press("Escape")
    expect(tab.page.locator("#history")).to_be_visible()


def test_the_search_works_as_a_page_of_its_own(tab: ChatPage, worker: ScriptedWorker, artifacts: Path) -> None:
    new_chat(tab, worker, "Where do foxes live?", "In an earthen den.")
    tab.page.goto(tab.site.url + "/chats/search?q=earth")
    expect(tab.page.locator(".found mark")).to_have_text("earth")
    tab.page.screenshot(path=artifacts / "search-page.png")


def test_an_answer_in_progress_is_marked_in_every_tab_until_it_ends(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    new_chat(tab, worker, "First")
    other = new_chat_page(tab.page.context, tab.site)
    other.open(model=worker.model)
    gate = Gate()
    fake.play("Yes", gate, ".")
    tab.send("Second")
    other.page.locator(".history__running").wait_for()
    gate.open()
    expect(other.page.locator(".history__running")).to_have_count(0)
    assert other.problems == []


def test_each_chat_keeps_its_own_draft_over_a_reload(tab: ChatPage, worker: ScriptedWorker) -> None:
    first = new_chat(tab, worker, "First")
    second = new_chat(tab, worker, "Second")
    tab.text_box.fill("for the second")
    tab.page.goto(first)
    assert tab.text_box.input_value() == ""
    tab.text_box.fill("for the first")
    tab.page.reload()
    expect(tab.text_box).to_have_value("for the first")
    tab.page.goto(second)
    expect(tab.text_box).to_have_value("for the second")


def test_on_a_phone_everything_is_within_reach(new_tab: NewTab, worker: ScriptedWorker, artifacts: Path) -> None:
    tab = new_tab(viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True)
    new_chat(tab, worker, "Foxes and wolves in a rather long title that does not fit")
    tab.page.locator("#drawer-open").click()
    expect(item(tab, "Foxes").get_by_role("button", name="Pin")).to_be_visible()
    tab.page.screenshot(path=artifacts / "history-phone-dark.png")
    tab.page.goto(tab.site.url + "/chats")
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(tab.page.locator(".chats__item")).to_have_count(1)
    assert re.search(r"\d{4}", tab.page.locator(".chats__time").inner_text())
    tab.page.screenshot(path=artifacts / "all-chats-phone-dark.png")


def test_enter_in_the_folder_moves_what_is_ticked_and_nothing_else(tab: ChatPage, worker: ScriptedWorker) -> None:
    new_chat(tab, worker, "Fox?")
    tab.page.goto(f"{tab.site.url}/chats")
    folder = tab.page.locator("#chats-folder")
    folder.fill("Animals")
    folder.press("Enter")
    expect(tab.page.locator('[data-part="told"]')).to_contain_text("Choose chats first")
    box = tab.page.locator('#chats [name="chat"]')
    box.check()
    box.press("Enter")
    expect(folder).to_have_value("Animals")
    folder.press("Enter")
    tab.page.locator(".chats__mark", has_text="Animals").wait_for()
    expect(tab.page.locator(".chats__mark", has_text="pinned")).to_have_count(0)
