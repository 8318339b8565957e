"""The admin's page of the pool in a real browser: it stays true without a reload, acts, and fits phones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gpu_worker.protocol import ModelState
from tests.fake_worker import Gate
from tests.web.support import ChatPage, ScriptedWorker, sign_in_as_admin

pytestmark = pytest.mark.browser

NewTab = Callable[..., ChatPage]
PAGE = "/admin/workers/worker/pool/"
LOOKS = {
    "wide-light": ({"width": 1440, "height": 900}, "light"),
    "wide-dark": ({"width": 1440, "height": 900}, "dark"),
    "phone-light": ({"width": 390, "height": 844}, "light"),
    "phone-dark": ({"width": 390, "height": 844}, "dark"),
}


def open_page(tab: ChatPage, superuser: str) -> Page:
    page = sign_in_as_admin(tab, superuser, PAGE)
    page.locator("#pool").wait_for()
    page.evaluate("window.isSamePage = true")
    return page


def card(page: Page, worker: ScriptedWorker) -> str:
    [(pk,)] = worker.site.query("SELECT id FROM workers_worker WHERE public_id = %s", worker.worker_id)
    return f"#worker-{pk}"


def test_it_follows_the_pool_without_a_reload_and_its_buttons_act(
    tab: ChatPage, superuser: str, worker: ScriptedWorker
) -> None:
    page = open_page(tab, superuser)
    shown = page.locator(card(page, worker))
    expect(shown).to_contain_text(f"{worker.model} loaded")
    expect(shown).to_contain_text("0 of 16 places")

    gate = Gate()
    worker.fake.play("Hello", gate)
    key = tab.site.api_key()
    body = json.dumps({"model": worker.model, "messages": [{"role": "user", "content": "Hi"}]})
    page.evaluate(
        "([body, key]) => { fetch('/v1/chat/completions', {method: 'POST', body,"
        " headers: {'Content-Type': 'application/json', Authorization: `Bearer ${key}`}}); }",
        [body, key],
    )
    expect(shown).to_contain_text("1 of 16 places")
    page.get_by_role("region", name="Queues").get_by_role("row", name=worker.model).wait_for()
    gate.open()
    expect(shown).to_contain_text("0 of 16 places")
    worker.report(ModelState.LOADING, 0.25)
    expect(shown).to_contain_text("25 % loaded")
    assert page.evaluate("window.isSamePage") is True

    shown.get_by_role("button", name="Drain").click()
    expect(shown.locator(".pool__state")).to_have_text("drained")
    expect(page.get_by_text("was drained")).to_be_visible()
    shown.get_by_role("button", name="Put back").click()
    expect(shown.locator(".pool__state")).to_have_text("serving")
    page.once("dialog", lambda dialog: dialog.dismiss())
    shown.get_by_role("button", name="Remove").click()
    page.once("dialog", lambda dialog: dialog.accept())
    expect(shown.locator(".pool__state")).to_have_text("serving")
    shown.get_by_role("button", name="Remove").click()
    expect(shown.locator(".pool__state")).to_have_text("removed")


def test_the_keyboard_stays_where_it_is_while_the_page_refreshes(
    tab: ChatPage, superuser: str, worker: ScriptedWorker
) -> None:
    page = open_page(tab, superuser)
    button = page.locator(card(page, worker)).get_by_role("button", name="Drain")
    button.focus()
    first = page.locator("#pool time").inner_text()
    expect(page.locator("#pool time")).not_to_have_text(first)
    expect(button).to_be_focused()


def test_it_says_so_when_it_is_out_of_date(tab: ChatPage, superuser: str, worker: ScriptedWorker) -> None:
    page = open_page(tab, superuser)
    page.context.set_offline(True)
    expect(page.get_by_text("Not up to date: this is how it was at")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("Not up to date")).to_be_hidden()


@pytest.mark.parametrize("look", LOOKS)
def test_it_fits_and_its_words_can_be_read(
    new_tab: NewTab, superuser: str, worker: ScriptedWorker, artifacts: Path, look: str
) -> None:
    viewport, scheme = LOOKS[look]
    tab = new_tab(viewport=viewport, color_scheme=scheme)
    page = open_page(tab, superuser)
    page.locator(card(page, worker)).wait_for()
    page.screenshot(path=artifacts / f"pool-{look}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
