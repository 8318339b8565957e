"""What is in an answer, and what its reader thinks of it: thoughts, formulas, thumbs."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.fake_worker import FakeWorker, Gate, Thought
from tests.web.conftest import NewTab
from tests.web.support import ChatPage, ScriptedWorker
from tests.web.test_branches import ask

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_thoughts_are_folded_while_they_come_and_afterwards(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    gate = Gate()
    fake.play(Thought("Foxes are "), gate, Thought("red."), "A **fox**.")
    tab.open(model=worker.model)
    tab.send("What is red?")
    expect(tab.last_answer.locator(".message__waiting")).to_have_text("Thinking…")
    expect(tab.last_answer.get_by_text("Foxes are")).to_be_hidden()
    gate.open()
    tab.wait_for_state("complete")
    expect(tab.last_answer.locator("strong")).to_have_text("fox")
    expect(tab.last_answer.get_by_text("Foxes are red.")).to_be_hidden()
    tab.last_answer.get_by_text("Thoughts").click()
    expect(tab.last_answer.get_by_text("Foxes are red.")).to_be_visible()
    assert "Foxes" not in tab.page.inner_text("#announcer")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_formulas_are_drawn_and_copied_as_they_were_written(
    new_tab: NewTab, worker: ScriptedWorker, fake: FakeWorker, artifacts: Path, scheme: str
) -> None:
    tab = new_tab(color_scheme=scheme, permissions=["clipboard-read", "clipboard-write"])
    tab.open(model=worker.model)
    fake.play(
        "<think>Easy.</think>\n\nThe roots of $ax^2+bx+c$ are\n\n$$\nx = \\frac{-b \\pm \\sqrt{b^2-4ac}}{2a}\n$$\n"
    )
    tab.send("How?")
    tab.wait_for_state("complete")
    formula = tab.last_answer.locator("math[display=block]")
    expect(formula).to_be_visible()
    assert formula.locator("mfrac").evaluate("e => e.getBoundingClientRect().height") > 30
    tab.page.screenshot(path=artifacts / f"formulas-{scheme}.png")
    tab.last_answer.get_by_role("button", name="Copy the answer").click()
    expect(tab.last_answer.locator('[data-copied="true"]')).to_be_visible()
    copied = tab.page.evaluate("navigator.clipboard.readText()")
    assert "$ax^2+bx+c$" in copied
    assert r"$$x = \frac{-b \pm \sqrt{b^2-4ac}}{2a}$$" in copied
    assert "Easy" not in copied


def test_a_bad_answer_gets_a_thumb_and_a_reason(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker, artifacts: Path
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "What is red?", "The sea.")
    bad = tab.last_answer.get_by_role("button", name="Bad answer")
    bad.click()
    dialog = tab.page.locator("#dialog-feedback")
    dialog.get_by_label("Not true").check()
    dialog.get_by_label("Comment").fill("It is blue.")
    tab.page.screenshot(path=artifacts / "feedback.png")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog).to_be_hidden()
    rows = tab.site.query("SELECT is_good, reason, comment FROM conversations_feedback ORDER BY id DESC LIMIT 1")
    assert rows == [(False, "false", "It is blue.")]
    tab.page.reload()
    expect(bad).to_have_attribute("aria-pressed", "true")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
