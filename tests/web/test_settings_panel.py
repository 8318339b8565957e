"""A person sets a chat up, keeps the settings as a preset, and uses them in another chat."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.fake_worker import FakeWorker
from tests.web.conftest import NewTab
from tests.web.support import ChatPage, ScriptedWorker, sign_up

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def panel(tab: ChatPage) -> Locator:
    tab.page.locator("#settings-open").click()
    dialog = tab.page.locator("#dialog-settings")
    dialog.locator("#settings-system").wait_for()
    return dialog


def save(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Save").click()
    dialog.wait_for(state="hidden")


def test_a_new_chat_is_set_up_before_its_first_message(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker, artifacts: Path
) -> None:
    tab.open(model=worker.model)
    dialog = panel(tab)
    dialog.locator("#settings-system").fill("Answer in rhymes.")
    dialog.locator("#settings-temperature").fill("9")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.locator(".dialog__problem")).to_have_text("Temperature must be a number from 0 to 2.")
    tab.page.screenshot(path=artifacts / "settings-refused.png")
    dialog.locator("#settings-temperature").fill("0.5")
    save(dialog)
    expect(tab.page.locator("#settings-open")).to_have_attribute("data-is-set", "true")

    fake.play("Fine.")
    tab.send("Hi")
    tab.wait_for_state("complete")

    asked = fake.requests[-1]
    assert asked["messages"][0] == {"role": "system", "content": "Answer in rhymes."}
    assert asked["temperature"] == 0.5
    tab.page.reload()
    assert panel(tab).locator("#settings-temperature").input_value() == "0.5"
    tab.problems.clear()  # the browser logs the refusal itself


def test_a_preset_is_used_in_another_chat(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker, artifacts: Path
) -> None:
    sign_up(tab)
    tab.open(model=worker.model)
    dialog = panel(tab)
    dialog.locator("#settings-system").fill("Answer in rhymes.")
    dialog.locator("#settings-stop").fill("END")
    dialog.locator("#settings-preset-name").fill("Poet")
    dialog.get_by_role("button", name="Keep").click()
    expect(dialog.locator('[data-part="told"]')).to_have_text("Kept.")
    tab.page.screenshot(path=artifacts / "settings.png")

    tab.open(model=worker.model)
    dialog = panel(tab)
    dialog.locator("#settings-preset").select_option(label="Poet")
    expect(dialog.locator("#settings-system")).to_have_value("Answer in rhymes.")
    save(dialog)
    fake.play("Fine.")
    tab.send("Hi")
    tab.wait_for_state("complete")
    assert fake.requests[-1]["stop"] == ["END"]

    dialog = panel(tab)
    dialog.locator("#settings-preset").select_option(label="Poet")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.locator('[data-part="told"]')).to_have_text("Deleted.")
    expect(dialog.locator("#settings-preset option")).to_have_count(1)


def test_on_a_phone_the_panel_fits_and_visitors_are_told_where_presets_are(
    new_tab: NewTab, worker: ScriptedWorker, artifacts: Path
) -> None:
    tab = new_tab(viewport={"width": 390, "height": 844}, color_scheme="dark")
    tab.open(model=worker.model)
    dialog = panel(tab)
    expect(dialog.get_by_role("link", name="Sign in")).to_be_visible()
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.page.screenshot(path=artifacts / "settings-phone-dark.png")


def test_settings_of_a_chat_that_has_no_message_yet_outlive_a_reload(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    dialog = panel(tab)
    dialog.locator("#settings-system").fill("Answer in rhymes.")
    save(dialog)
    tab.page.reload()
    expect(tab.page.locator("#settings-open")).to_have_attribute("data-is-set", "true")
    expect(panel(tab).locator("#settings-system")).to_have_value("Answer in rhymes.")
    tab.page.keyboard.press("Escape")
    fake.play("Fine.")
    tab.send("Hi")
    tab.wait_for_state("complete")
    assert fake.requests[-1]["messages"][0] == {"role": "system", "content": "Answer in rhymes."}
    tab.open(model=worker.model)
    expect(panel(tab).locator("#settings-system")).to_have_value("")


def test_enter_in_the_name_of_a_preset_keeps_it(tab: ChatPage, worker: ScriptedWorker) -> None:
    sign_up(tab)
    tab.open(model=worker.model)
    dialog = panel(tab)
    dialog.locator("#settings-preset-name").fill("Poet")
    tab.page.keyboard.press("Enter")
    expect(dialog.locator('[data-part="told"]')).to_have_text("Kept.")
    expect(dialog).to_be_visible()
