"""A person asks several models at once, reads their answers side by side, and goes on with one or with all."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, expect

from tests.fake_worker import Fail, Gate
from tests.live import LiveSite
from tests.web.conftest import scripted_worker
from tests.web.support import ChatPage, ScriptedWorker, new_chat_page

pytestmark = [pytest.mark.browser, pytest.mark.processes]


@pytest.fixture
def other(live_site: LiveSite) -> Iterator[ScriptedWorker]:
    """A second model, which stands after the first one wherever they are listed by name."""
    with scripted_worker(live_site, f"second-{uuid4().hex[:8]}") as scripted:
        yield scripted


def choose(tab: ChatPage, *models: str) -> None:
    tab.page.get_by_role("button", name="Ask several models side by side").click()
    dialog = tab.page.get_by_role("dialog", name="Ask several models")
    for model in models:
        dialog.get_by_role("checkbox", name=model).check()
    dialog.get_by_role("button", name="Ask these").click()
    expect(dialog).to_be_hidden()


def ask_both(tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker) -> None:
    """Show two answers side by side."""
    worker.fake.play("A red one.")
    other.fake.play("A grey one.")
    tab.open(model=worker.model)
    choose(tab, worker.model, other.model)
    tab.send("Fox?")
    tab.wait_for_state("complete", count=2)


def columns(tab: ChatPage) -> Locator:
    return tab.page.locator(".column")


def words(tab: ChatPage) -> list[list[str]]:
    return [
        [text.strip() for text in column.locator(".message__body").all_text_contents()] for column in columns(tab).all()
    ]


def test_two_models_answer_side_by_side_and_all_go_on(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    worker.fake.play("A red one.")
    other.fake.play("A grey one.")
    tab.open(model=worker.model)
    choose(tab, worker.model, other.model)
    expect(tab.page.locator("#beside-told")).to_have_text(f"Goes to {worker.model} and {other.model}")
    tab.send("Fox?")
    tab.wait_for_state("complete", count=2)
    assert words(tab) == [["A red one."], ["A grey one."]]
    boxes = [column.bounding_box() for column in columns(tab).all()]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]  # beside each other

    worker.fake.play("There.")
    other.fake.play("Here.")
    tab.send("Where?")
    tab.wait_for_state("complete", count=4)
    expected = [["A red one.", "Where?", "There."], ["A grey one.", "Where?", "Here."]]
    assert words(tab) == expected
    tab.page.reload()
    assert words(tab) == expected
    tab.page.set_viewport_size({"width": 390, "height": 844})
    boxes = [column.bounding_box() for column in columns(tab).all()]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]  # one below the other


def test_one_is_gone_on_with_by_keyboard_and_the_others_stay_as_versions(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    worker.fake.play("A red one.")
    other.fake.play("A grey one.")
    tab.open(model=worker.model)
    tab.page.locator("#beside-open").focus()
    tab.page.keyboard.press("Enter")
    for model in (worker.model, other.model):
        tab.page.get_by_role("checkbox", name=model).focus()
        tab.page.keyboard.press("Space")
    tab.page.keyboard.press("Enter")
    tab.send("Fox?")
    tab.wait_for_state("complete", count=2)

    tab.page.get_by_role("button", name=f"Go on with {other.model} alone").focus()
    tab.page.keyboard.press("Enter")

    expect(columns(tab)).to_have_count(0)
    assert tab.answer_text.strip() == "A grey one."
    assert tab.last_answer.locator('[data-part="place"]').inner_text() == "2/2"
    expect(tab.page.locator("#beside-told")).to_be_hidden()
    other.fake.play("There.")
    tab.send("Where?")
    tab.wait_for_text("There.")
    expect(tab.last_answer.locator(".message__model")).to_contain_text(other.model)


def test_one_or_all_are_stopped_and_a_reload_follows_both(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    worker.fake.play("A red ", Gate(), "one.")
    gate = Gate()
    other.fake.play("A grey ", gate, "one.")
    tab.open(model=worker.model)
    choose(tab, worker.model, other.model)
    tab.send("Fox?")
    columns(tab).nth(0).get_by_text("A red").wait_for()
    columns(tab).nth(1).get_by_text("A grey").wait_for()
    tab.page.reload()
    columns(tab).nth(0).get_by_text("A red").wait_for()

    columns(tab).nth(0).get_by_role("button", name="Stop this answer").click()
    expect(columns(tab).nth(0).locator(".message--answer")).to_have_attribute("data-state", "stopped")
    expect(columns(tab).nth(1).locator(".message--answer")).to_have_attribute("data-state", "running")
    gate.open()
    tab.wait_for_state("complete")

    worker.fake.play("There ", Gate())
    other.fake.play("Here ", Gate())
    tab.send("Where?")
    tab.wait_for_state("running", count=2)
    tab.page.keyboard.press("Escape")
    tab.wait_for_state("stopped", count=3)


def test_the_last_answer_of_a_column_is_given_again_there_and_other_tabs_see_it(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    ask_both(tab, worker, other)
    second = new_chat_page(tab.page.context, tab.site).open(tab.page.url.removeprefix(tab.site.url))
    other.fake.play("A white", Fail())
    columns(tab).nth(1).get_by_role("button", name="Regenerate the answer", exact=True).click()
    tab.wait_for_state("failed")
    second.wait_for_state("failed")
    assert words(tab) == [["A red one."], ["A white"]]

    other.fake.play("A white one.")
    columns(tab).nth(1).get_by_role("button", name="Try again").click()
    tab.wait_for_state("complete", count=2)
    second.wait_for_state("complete", count=2)
    assert words(tab) == words(second) == [["A red one."], ["A white one."]]

    worker.fake.play("There.")
    other.fake.play("Here.")
    tab.send("Where?")
    tab.wait_for_state("complete", count=4)
    again = tab.page.get_by_role("button", name="Regenerate the answer", exact=True)
    expect(again).to_have_count(2)  # those before would leave the columns behind
    tab.page.get_by_role("button", name=f"Go on with {other.model} alone").click()
    expect(columns(tab)).to_have_count(0)
    expect(tab.answers.first.locator('[data-part="place"]')).to_have_text("4/4")  # the others and the old ones
    assert second.problems == []


def test_another_tab_sees_the_columns_and_what_becomes_of_them(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    worker.fake.play("Hello.")
    tab.open(model=worker.model)
    tab.send("Hi")
    tab.wait_for_state("complete")
    second = new_chat_page(tab.page.context, tab.site)
    second.open(tab.page.url.removeprefix(tab.site.url), model=worker.model)
    worker.fake.play("A red", Fail())
    other.fake.play("A grey one.")
    choose(tab, worker.model, other.model)
    tab.send("Fox?")
    expect(columns(second)).to_have_count(2)
    second.wait_for_state("failed")
    second.wait_for_state("complete", count=2)

    tab.page.get_by_role("button", name=f"Go on with {worker.model} alone").click()
    expect(columns(tab)).to_have_count(0)
    expect(columns(second)).to_have_count(0)
    assert second.problems == []


def test_a_screen_reader_hears_which_has_ended_and_no_words_of_both_at_once(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    ask_both(tab, worker, other)
    heard = tab.page.locator("#announcer")
    for model in (worker.model, other.model):
        expect(heard).to_contain_text(f"{model}: The answer is complete.")
    expect(heard).not_to_contain_text("A grey one")


def test_too_few_and_too_many_are_said_and_one_model_is_asked_again(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    tab.open(model=worker.model)
    tab.page.locator("#beside-open").click()
    dialog = tab.page.get_by_role("dialog", name="Ask several models")
    dialog.get_by_role("checkbox", name=worker.model).check()
    dialog.get_by_role("button", name="Ask these").click()
    expect(dialog.get_by_role("alert")).to_have_text("Choose 2 to 4 models.")
    dialog.get_by_role("checkbox", name=other.model).check()
    dialog.get_by_role("button", name="Ask these").click()
    expect(tab.page.locator("#beside-told")).to_be_visible()
    tab.page.locator("#beside-open").click()
    dialog.get_by_role("button", name="Ask one model").click()
    expect(tab.page.locator("#beside-told")).to_be_hidden()


def test_a_question_before_the_columns_is_said_differently_to_one_model(
    tab: ChatPage, worker: ScriptedWorker, other: ScriptedWorker
) -> None:
    ask_both(tab, worker, other)
    tab.text_box.press("ArrowUp")
    expect(tab.page.locator(".editor")).to_have_count(0)  # each column has a last message of its own

    worker.fake.play("A dark one.")
    question = tab.page.locator(".message--user")
    question.hover()
    question.locator('[data-act="edit"]').click()
    tab.page.locator(".editor__text").fill("Wolf?")
    tab.page.keyboard.press("Enter")

    tab.wait_for_text("A dark one.")
    expect(columns(tab)).to_have_count(0)
    expect(tab.page.locator("#beside-told")).to_be_hidden()
    tab.wait_for_state("complete")
    question.locator('[data-step="previous"]').click()
    tab.wait_for_text("A grey one.")  # the branches are versions now
