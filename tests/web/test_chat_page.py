"""A person chats with the shipped model: everything is real, from the key that is pressed to the weights."""

import re

import pytest
from playwright.sync_api import expect

from apps.conversations.markdown import render
from tests.web.conftest import NewTab
from tests.web.support import ChatPage

pytestmark = [pytest.mark.browser, pytest.mark.processes]

QUESTION = "How do I make tea?"
REAL = "demo-base"

WATCH_LENGTHS = """() => {
  window.lengths = new Set();
  new MutationObserver(() => {
    const answer = document.querySelector(".message--answer");
    if (answer) lengths.add(answer.querySelector(".message__body").textContent.length
      + answer.querySelector(".message__tail").textContent.length);
  }).observe(document.querySelector("#messages"), { subtree: true, childList: true, characterData: true });
}"""


def test_an_answer_arrives_bit_by_bit_and_is_stored_as_shown(tab: ChatPage) -> None:
    tab.open(model=REAL)
    tab.page.evaluate(WATCH_LENGTHS)

    tab.send(QUESTION)
    tab.wait_for_state("complete")

    assert len(tab.page.evaluate("[...lengths]")) >= 3
    assert tab.answer_text == tab.text_of_html(render(tab.stored_answer))
    assert re.search(r"\d+ tokens", tab.last_answer.inner_text())
    assert tab.page.locator(".message--user").inner_text().endswith(QUESTION)


def test_a_first_message_gives_the_chat_its_address_title_and_place_in_the_history(tab: ChatPage) -> None:
    tab.open(model=REAL)

    tab.send(QUESTION)
    tab.wait_for_state("complete")

    assert re.fullmatch(r"/chat/[0-9a-f-]{36}", tab.page.evaluate("location.pathname"))
    assert tab.page.title().startswith(QUESTION)
    tab.page.locator(f"#history a[aria-current=page]:has-text('{QUESTION}')").wait_for()


def test_a_reload_in_mid_answer_leaves_no_gap_and_no_duplicate(tab: ChatPage) -> None:
    tab.open(model=REAL)
    tab.send("Tell me a story about a fox.")
    tab.last_answer.locator(".message__tail, .message__body").filter(has_text=re.compile(r"\w")).first.wait_for()
    tab.page.wait_for_url("**/chat/*-*")

    tab.page.reload()
    tab.wait_for_state("complete")

    assert tab.answer_text == tab.text_of_html(render(tab.stored_answer))


def test_what_was_said_is_there_again_when_the_chat_is_opened_from_the_history(tab: ChatPage) -> None:
    tab.open(model=REAL)
    tab.send("What is 17 + 25?")
    tab.wait_for_state("complete")
    words = tab.answer_text

    tab.open("/chat")
    tab.page.locator("#history a", has_text="What is 17 + 25?").click()
    tab.page.wait_for_url("**/chat/*-*")

    assert tab.answer_text == words
    assert tab.page.locator("#empty").is_hidden()


def test_a_suggestion_is_sent_with_one_click(tab: ChatPage) -> None:
    tab.open(model=REAL)

    tab.page.locator("[data-prompt]", has_text="Japan").click()
    tab.wait_for_state("complete")

    assert tab.answer_text.strip()
    assert tab.page.locator("#empty").is_hidden()


def test_a_suggestion_takes_nothing_away_that_was_written(tab: ChatPage) -> None:
    tab.open(model=REAL)
    tab.text_box.fill("I am on my way.")

    tab.page.locator("[data-prompt]", has_text="Japan").click()
    expect(tab.text_box).to_have_value("I am on my way.\n\nWhat is the capital of Japan?")
    expect(tab.text_box).to_be_focused()
    assert tab.page.locator(".message").count() == 0


def test_somebody_else_s_chat_is_not_found(tab: ChatPage, new_tab: NewTab) -> None:
    tab.open(model=REAL)
    tab.send("What is 2 + 2?")
    tab.wait_for_state("complete")
    charlie = new_tab()

    response = charlie.page.goto(tab.page.url)

    assert response is not None
    assert response.status == 404
    assert "There is nothing here" in charlie.page.inner_text("main")
    charlie.problems.clear()  # the browser logs the 404 itself
