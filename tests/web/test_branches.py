"""A person says it differently, asks again, goes on, and finds every version again, in every tab."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.fake_worker import Fail, FakeWorker, Gate
from tests.live import wait_until
from tests.web.support import ChatPage, ScriptedWorker, new_chat_page, sign_up

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def ask(tab: ChatPage, fake: FakeWorker, question: str, answer: str) -> None:
    fake.play(answer)
    tab.send(question)
    tab.last_answer.get_by_text(answer).wait_for()
    expect(tab.last_answer).to_have_attribute("data-state", "complete")


def said(tab: ChatPage) -> list[str]:
    bodies = tab.page.locator(".message__body")
    return [text.strip() for text in bodies.all_text_contents()]


def act(message: Locator, name: str) -> None:
    message.hover()
    message.locator(f'[data-act="{name}"]').click()


def edit(tab: ChatPage, message: Locator, text: str) -> None:
    act(message, "edit")
    tab.page.locator(".editor__text").fill(text)
    tab.page.keyboard.press("Enter")
    tab.page.locator(".editor").wait_for(state="detached")


def first_version(tab: ChatPage) -> str:
    """The id of the first answer to the shown question."""
    (row,) = tab.site.query(
        "SELECT message.public_id FROM conversations_message message JOIN conversations_conversation chat"
        " ON chat.id = message.conversation_id WHERE chat.public_id = %s AND message.role = 'assistant'"
        " ORDER BY message.id LIMIT 1",
        tab.conversation,
    )
    return str(row[0])


def place(message: Locator) -> str:
    return message.locator('[data-part="place"]').inner_text()


def test_a_message_is_said_differently_and_both_versions_stay(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker, artifacts: Path
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    ask(tab, fake, "Where?", "In the wood.")
    first = tab.page.locator(".message--user").first
    act(first, "edit")
    assert tab.page.locator(".editor__text").input_value() == "Fox?"
    tab.page.screenshot(path=artifacts / "chat-editing.png")
    tab.page.keyboard.press("Escape")
    expect(first.locator('[data-act="edit"]')).to_be_focused()

    fake.play("A grey one.")
    edit(tab, first, "Wolf?")
    expect(tab.last_answer).to_have_attribute("data-state", "complete")

    assert said(tab) == ["Wolf?", "A grey one."]
    assert place(first) == "2/2"
    tab.page.screenshot(path=artifacts / "chat-versions.png")
    first.locator('[data-step="previous"]').click()
    tab.wait_for_text("In the wood.")
    assert said(tab) == ["Fox?", "A red one.", "Where?", "In the wood."]
    expect(first.locator('[data-step="previous"]')).to_be_focused()
    assert place(first) == "1/2"
    tab.page.reload()
    assert said(tab) == ["Fox?", "A red one.", "Where?", "In the wood."]


def test_the_last_message_is_edited_from_the_keyboard_alone(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")

    fake.play("A grey one.")
    tab.text_box.focus()
    tab.page.keyboard.press("ArrowUp")
    tab.page.locator(".editor__text").wait_for()
    tab.page.keyboard.press("Control+A")
    tab.page.keyboard.type("Wolf?")
    tab.page.keyboard.press("Enter")

    tab.wait_for_text("A grey one.")
    expect(tab.last_answer).to_have_attribute("data-state", "complete")
    assert said(tab) == ["Wolf?", "A grey one."]


def test_an_answer_in_the_middle_is_asked_for_again_with_another_model(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    ask(tab, fake, "Where?", "In the wood.")

    act(tab.answers.first, "again-with")
    dialog = tab.page.locator("#dialog-again")
    dialog.locator("select").select_option("demo-base")
    dialog.get_by_role("button", name="Regenerate").click()

    expect(tab.answers).to_have_count(1)
    tab.wait_for_state("complete")
    assert place(tab.last_answer) == "2/2"
    assert "demo-base" in tab.last_answer.locator(".message__model").inner_text()
    tab.last_answer.locator('[data-step="previous"]').click()
    tab.wait_for_text("In the wood.")


def test_an_answer_that_broke_off_goes_on_where_it_was(tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker) -> None:
    tab.open(model=worker.model)
    fake.play("One, two", Fail())
    fake.play(", three.")
    tab.send("Count")
    tab.wait_for_state("failed")

    act(tab.last_answer, "go-on")

    tab.wait_for_state("complete")
    assert said(tab) == ["Count", "One, two, three."]
    assert place(tab.last_answer) == "2/2"
    expect(tab.last_answer.locator('[data-act="go-on"]')).to_be_hidden()


def test_a_fork_is_a_chat_of_its_own(tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    ask(tab, fake, "Where?", "In the wood.")
    here = tab.page.url

    act(tab.answers.first, "fork")

    tab.page.wait_for_url(lambda url: url != here and "/chat/" in url)
    assert said(tab) == ["Fox?", "A red one."]
    ask(tab, fake, "When?", "At night.")
    tab.page.goto(here)
    assert said(tab) == ["Fox?", "A red one.", "Where?", "In the wood."]


def test_another_tab_keeps_in_step(tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    other = new_chat_page(tab.page.context, tab.site)
    other.open(tab.page.url.removeprefix(tab.site.url), model=worker.model)

    gate = Gate()
    fake.play("In the ", gate, "wood.")
    tab.send("Where?")
    other.wait_for_text("In the")  # it follows the answer while it is written
    assert other.page.locator("#stop").is_visible()
    gate.open()
    other.wait_for_state("complete", count=2)
    assert said(other) == said(tab)

    fake.play("A grey one.")
    edit(other, other.page.locator(".message--user").first, "Wolf?")
    tab.wait_for_text("A grey one.")
    tab.wait_for_state("complete")
    assert said(tab) == ["Wolf?", "A grey one."]
    tab.page.locator('[data-step="previous"]').first.click()
    other.wait_for_text("In the wood.")
    assert said(other) == said(tab)
    assert other.problems == []


def test_a_message_that_is_being_edited_is_not_taken_away_by_another_tab(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    other = new_chat_page(tab.page.context, tab.site)
    other.open(tab.page.url.removeprefix(tab.site.url), model=worker.model)
    act(other.page.locator(".message--user").first, "edit")
    other.page.locator(".editor__text").fill("Half a thought")

    ask(tab, fake, "Where?", "In the wood.")
    other.page.locator("#history a", has_text="Fox?").wait_for()
    assert other.page.locator(".editor__text").input_value() == "Half a thought"
    other.page.keyboard.press("Escape")

    other.wait_for_text("In the wood.")
    assert said(other) == said(tab)


def test_nothing_takes_away_a_message_that_is_being_changed(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    fake.play("A grey one.")
    edit(tab, tab.page.locator(".message--user").first, "Wolf?")
    tab.wait_for_text("A grey one.")
    tab.wait_for_state("complete")
    ask(tab, fake, "Where?", "In the wood.")
    act(tab.page.locator(".message--user").last, "edit")
    box = tab.page.locator(".editor__text")
    box.fill("Half a thought")

    tab.page.locator('[data-step="previous"]').first.click()
    expect(tab.page.locator("#notice")).to_contain_text("You are changing a message")
    act(tab.answers.first, "again")
    expect(box).to_have_value("Half a thought")
    expect(box).to_be_focused()
    tab.page.keyboard.press("Escape")

    tab.page.locator('[data-step="previous"]').first.click()
    tab.wait_for_text("A red one.")


def test_the_keyboard_stays_in_the_thread_when_an_answer_goes_away(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    fake.play("A grey one.")
    act(tab.last_answer, "again")
    tab.wait_for_text("A grey one.")
    expect(tab.last_answer).to_be_focused()
    tab.wait_for_state("complete")
    fake.play("A white one.")
    edit(tab, tab.page.locator(".message--user").first, "Hare?")
    tab.wait_for_text("A white one.")
    expect(tab.last_answer).to_be_focused()


def test_a_message_goes_to_the_branch_that_its_tab_shows(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    act(tab.page.locator(".message--user").first, "edit")  # so that this tab does not follow the other one
    other = new_chat_page(tab.page.context, tab.site)
    other.open(tab.page.url.removeprefix(tab.site.url), model=worker.model)
    ask(other, fake, "Where?", "In the wood.")

    ask(tab, fake, "When?", "At night.")

    assert [message["content"] for message in fake.requests[-1]["messages"]] == ["Fox?", "A red one.", "When?"]


def test_try_again_asks_the_model_that_failed_not_one_that_was_chosen_for_another_answer(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    ask(tab, fake, "Fox?", "A red one.")
    act(tab.answers.first, "again-with")
    dialog = tab.page.locator("#dialog-again")
    dialog.locator("select").select_option("demo-base")
    dialog.get_by_role("button", name="Regenerate").click()
    expect(tab.last_answer.locator(".message__model")).to_contain_text("demo-base")
    tab.wait_for_state("complete")

    fake.play("In", Fail())
    fake.play("In the wood.")
    tab.send("Where?")
    tab.wait_for_state("failed")
    tab.last_answer.get_by_role("button", name="Try again").click()

    tab.wait_for_text("In the wood.")
    expect(tab.last_answer.locator(".message__model")).to_contain_text(worker.model)


def test_of_two_branches_that_are_asked_for_at_once_the_last_one_stays(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker
) -> None:
    tab.open(model=worker.model)
    for answer in ("First.", "Second.", "Third."):
        if answer == "First.":
            ask(tab, fake, "Fox?", answer)
        else:
            fake.play(answer)
            act(tab.last_answer, "again")
            tab.wait_for_text(answer)
            tab.wait_for_state("complete")
    held: list[Route] = []
    tab.page.route("**/branch", lambda route: held.append(route))  # noqa: PLW0108  # it must be a Python function
    back = tab.last_answer.locator('[data-step="previous"]')
    back.click()
    back.evaluate("(button, id) => { button.dataset.show = id; }", first_version(tab))
    back.click()
    wait_until(lambda: tab.page.wait_for_function("() => true") and len(held) == 2, what="both requests")
    held[1].continue_()
    tab.wait_for_text("First.")
    with tab.page.expect_response("**/branch"):
        held[0].fulfill(body="<p>late</p>", content_type="text/html")
    expect(tab.last_answer).to_contain_text("First.")


def test_an_imported_answer_among_several_is_replaced_as_a_reload_shows_it(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker, tmp_path: Path
) -> None:
    sign_up(tab)
    turns = [("user", "Fox?"), ("assistant", "A red one."), ("assistant", "And a grey one.")]
    file = tmp_path / "chats.jsonl"
    file.write_text(json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}))
    tab.page.goto(tab.site.url + "/chats/import")
    tab.page.set_input_files("#import-file", file)
    tab.page.get_by_role("button", name="Import").click()
    tab.page.locator(".chats__item a").click()
    tab.page.wait_for_url("**/chat/*-*")  # until all is loaded: a button does nothing before its script runs
    tab.page.select_option("#model", worker.model)

    fake.play("A white one.")
    act(tab.last_answer, "again")

    tab.wait_for_text("A white one.")
    tab.wait_for_state("complete")
    assert said(tab) == ["Fox?", "A white one."]
    tab.page.reload()
    assert said(tab) == ["Fox?", "A white one."]
