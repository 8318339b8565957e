"""What a person sees when answers are stopped, fail, come from a hostile model, or the connection goes away.

The site is real; the answers are scripted, so that each moment can be looked at.
"""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from apps.conversations.markdown import render
from gpu_worker.protocol import ModelState, WorkerErrorCode
from tests.fake_worker import Fail, Gate, Refuse
from tests.live import wait_until
from tests.web.attacks import ATTACKS
from tests.web.support import ChatPage, ScriptedWorker, new_chat_page

pytestmark = [pytest.mark.browser, pytest.mark.processes]


# --- Stopping, failing, asking again ----------------------------------------------------------------------------------


def test_stop_replaces_send_and_keeps_what_came(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("Once upon", Gate(), " a time")
    tab.open(model=worker.model)
    tab.send("A story")
    tab.wait_for_text("Once upon")
    assert tab.page.locator("#send").is_hidden()

    tab.page.get_by_role("button", name="Stop the answer").click()
    tab.wait_for_state("stopped")

    assert tab.answer_text.strip() == "Once upon"
    assert "You stopped this answer." in tab.last_answer.inner_text()
    assert tab.page.locator("#stop").is_hidden()
    wait_until(lambda: worker.fake.cancelled, what="the worker to be told")


def test_escape_stops_the_answer(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("Once upon", Gate(), " a time")
    tab.open(model=worker.model)
    tab.send("A story")
    tab.wait_for_text("Once upon")

    tab.page.keyboard.press("Escape")

    tab.wait_for_state("stopped")


def test_a_failed_answer_keeps_its_text_and_can_be_tried_again(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("The half", Fail())
    worker.fake.play("The whole.")
    tab.open(model=worker.model)
    tab.send("Tell me")
    tab.wait_for_state("failed")
    assert tab.answer_text.strip() == "The half"
    assert "The model failed while it was answering." in tab.last_answer.inner_text()

    tab.last_answer.get_by_role("button", name="Try again").click()
    tab.wait_for_state("complete")

    assert (tab.answers.count(), tab.answer_text.strip()) == (1, "The whole.")


def test_a_failure_is_explained_again_after_a_reload(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("The half", Fail())
    tab.open(model=worker.model)
    tab.send("Tell me")
    tab.wait_for_state("failed")

    tab.page.reload()

    assert "The model failed while it was answering." in tab.last_answer.inner_text()
    assert tab.last_answer.get_by_role("button", name="Try again").is_visible()


def test_regenerate_replaces_the_last_answer(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("First answer.")
    worker.fake.play("Second answer.")
    tab.open(model=worker.model)
    tab.send("Tell me")
    tab.wait_for_state("complete")

    tab.page.get_by_role("button", name="Regenerate the answer").click()
    tab.wait_for_text("Second answer.")
    tab.wait_for_state("complete")
    tab.page.reload()

    assert tab.answers.count() == 1
    assert tab.answer_text.strip() == "Second answer."


def test_an_old_chat_goes_on_with_the_model_it_is_with(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Hello")
    tab.wait_for_state("complete")
    address = f"/chat/{tab.conversation}"
    tab.open("/chat", model="demo-base")

    tab.open(address)

    assert tab.page.locator("#model").input_value() == worker.model


def test_every_answer_can_be_regenerated_but_none_while_one_is_written(tab: ChatPage, worker: ScriptedWorker) -> None:
    gate = Gate()
    worker.fake.play("One.")
    worker.fake.play("Two", gate, ".")
    tab.open(model=worker.model)
    tab.send("One")
    tab.wait_for_state("complete", count=1)
    tab.send("Two")
    tab.wait_for_text("Two")

    tab.answers.first.locator("[data-act=again]").click()

    expect(tab.notice).to_contain_text("An answer is being written.")
    gate.open()
    tab.wait_for_state("complete", count=2)
    assert tab.page.locator("[data-act=again]:visible").count() == 2


def test_a_model_that_is_loading_can_be_tried_again_when_it_is_ready(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.report(ModelState.LOADING, 0.4)
    tab.open(model=worker.model)
    assert tab.page.locator("#model-state").inner_text() == "Loading 40 %"
    tab.send("Are you there?")
    tab.wait_for_state("failed")
    assert "The model is still loading." in tab.last_answer.inner_text()

    worker.report()
    tab.last_answer.get_by_role("button", name="Try again").click()
    tab.wait_for_state("complete")

    assert tab.answer_text.strip() == "Hello there."


def deaf_to_hints_until_refused(page: Page) -> None:
    """Hints may be lost: this page gets none, until the site has refused it something."""
    heard: list[str] = []

    def connect(socket: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            heard.append(json.loads(message)["type"])
            if heard[-1] != "conversation.changed" or "turn.refused" in heard:
                socket.send(message)

        socket.connect_to_server().on_message(pass_on)

    page.route_web_socket(re.compile("/ws/chat"), connect)


def of_an_older_site(page: Page) -> None:
    """Hints said nothing of columns."""

    def connect(socket: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            frame = json.loads(message)
            frame.pop("columns", None)
            socket.send(json.dumps(frame))

        socket.connect_to_server().on_message(pass_on)

    page.route_web_socket(re.compile("/ws/chat"), connect)


def test_a_page_follows_a_process_of_the_site_that_is_not_updated_yet(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("One.")
    worker.fake.play("Two.")
    tab.open(model=worker.model).send("First")
    tab.wait_for_state("complete")
    other = new_chat_page(tab.page.context, tab.site)
    of_an_older_site(other.page)
    other.open(tab.page.url.removeprefix(tab.site.url))
    tab.send("Second")
    other.wait_for_state("complete", count=2)
    assert other.problems == []


def test_a_refused_message_returns_to_the_box_with_the_reason(tab: ChatPage, worker: ScriptedWorker) -> None:
    gate = Gate()
    worker.fake.play("One.")
    worker.fake.play("Two", gate, ".")
    tab.open(model=worker.model)
    tab.send("First")
    tab.wait_for_state("complete")
    other = ChatPage(tab.page.context.new_page(), tab.site)
    deaf_to_hints_until_refused(other.page)
    other.open(f"/chat/{tab.conversation}")
    tab.send("Second")
    tab.wait_for_text("Two")

    other.send("My careful words")
    expect(other.notice).to_contain_text("This chat is still being answered, perhaps in another window.")

    assert other.text_box.input_value() == "My careful words"
    other.wait_for_text("Two")  # it has seen by itself what the other one did
    gate.open()
    other.wait_for_state("complete", count=2)
    assert other.page.locator(".message").count() == 4
    expect(other.text_box).to_have_value("My careful words")


def test_the_picker_learns_that_a_model_has_loaded(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.report(ModelState.LOADING, 0.1)
    tab.open(model=worker.model)
    expect(tab.page.locator("#model-state")).to_have_text("Loading 10 %")

    worker.report(ModelState.LOADING, 0.7)
    expect(tab.page.locator("#model-state")).to_have_text("Loading 70 %")
    worker.report()

    expect(tab.page.locator("#model-state")).to_have_text("Ready")


def test_a_worker_s_refusal_is_told_in_its_own_words(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.scripts.append(Refuse(400, WorkerErrorCode.INVALID_REQUEST, "this model takes no systems"))
    tab.open(model=worker.model)

    tab.send("Tell me")
    tab.wait_for_state("failed")

    assert "this model takes no systems" in tab.last_answer.inner_text()


def test_an_answer_cut_at_its_length_says_so(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("And then", finish_reason="length")
    tab.open(model=worker.model)

    tab.send("A story")
    tab.wait_for_state("complete")

    assert "length limit" in tab.last_answer.inner_text()


# --- The connection ---------------------------------------------------------------------------------------------------


def test_a_reload_at_any_place_shows_what_came_and_goes_on(tab: ChatPage, worker: ScriptedWorker) -> None:
    gate = Gate()
    script = worker.fake.play("One *block*.\n\nTwo be", gate, "gins and ends.\n\n- three\n- four\n")
    tab.open(model=worker.model)
    tab.send("Tell me")
    tab.wait_for_text("Two be")

    tab.page.reload()
    tab.wait_for_text("Two be")
    assert tab.answer_text == "One block.\nTwo be"
    gate.open()
    tab.wait_for_state("complete")

    assert tab.stored_answer == script.text
    assert tab.answer_text == tab.text_of_html(render(script.text))


def test_an_answer_goes_on_after_the_connection_was_gone(tab: ChatPage, worker: ScriptedWorker) -> None:
    gate = Gate()
    script = worker.fake.play("Before. ", gate, "While gone.\n\n", "After.")
    tab.open(model=worker.model)
    tab.send("Tell me")
    tab.wait_for_text("Before.")

    tab.page.context.set_offline(True)
    expect(tab.page.locator("#connection")).to_have_text("Offline")
    gate.open()
    tab.page.context.set_offline(False)
    tab.wait_for_state("complete")

    assert tab.page.locator("#connection").is_hidden()
    assert tab.answer_text == tab.text_of_html(render(script.text))


def test_a_message_sent_offline_is_kept_and_goes_out_later(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.page.context.set_offline(True)

    tab.send("Into the void")
    expect(tab.notice).to_contain_text("You are not connected. Your message is kept here")
    tab.page.context.set_offline(False)
    tab.wait_for_state("complete")

    assert tab.page.locator(".message--user").count() == 1
    assert tab.notice.inner_text() == ""
    assert worker.fake.requests[0]["messages"] == [{"role": "user", "content": "Into the void"}]


def test_a_message_kept_offline_can_be_taken_back(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.page.context.set_offline(True)
    tab.send("Not yet")

    tab.notice.get_by_role("button", name="Take it back").click()

    assert tab.text_box.input_value() == "Not yet"
    assert tab.page.locator(".message").count() == 0


def test_a_message_that_may_have_arrived_is_not_sent_twice_by_itself(tab: ChatPage, worker: ScriptedWorker) -> None:
    sent: list[str] = []

    def break_after_sending(page_side: Any) -> None:
        def pass_on(frame: str | bytes) -> None:
            sent.append(str(frame))
            if "turn.send" in str(frame) and len([f for f in sent if "turn.send" in f]) == 1:
                page_side.close()
            else:
                site_side.send(frame)

        site_side = page_side.connect_to_server()
        page_side.on_message(pass_on)

    tab.page.route_web_socket(re.compile("/ws/chat"), break_after_sending)
    tab.open(model=worker.model)
    tab.send("Perhaps")
    expect(tab.notice).to_contain_text("It may have arrived")
    assert tab.text_box.input_value() == "Perhaps"

    tab.notice.get_by_role("button", name="Send again").click()
    tab.wait_for_state("complete")

    assert tab.page.locator(".message--user").count() == 1


def test_a_tab_sees_what_another_tab_renames(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Old title")
    tab.wait_for_state("complete")
    other = ChatPage(tab.page.context.new_page(), tab.site).open(tab.page.evaluate("location.pathname"))

    rename(tab, "Old title", "New title")

    expect(other.page.locator("#header-title")).to_have_text("New title")
    expect(other.page.locator("#history a[aria-current=page]")).to_have_text("New title")


def test_a_list_that_is_late_does_not_take_the_place_of_a_newer_one(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Old title")
    tab.wait_for_state("complete")
    other = new_chat_page(tab.page.context, tab.site).open()
    old = other.page.request.get(f"{tab.site.url}/chat/history").text()
    late: list[Route] = []
    tab.page.route("**/chat/history*", lambda route: late.append(route), times=1)  # noqa: PLW0108  # it must be a function
    with tab.page.expect_request("**/chat/history*"):
        other.press_in_history("Old title", "Pin")
    rename(other, "Old title", "New title")
    title = tab.page.locator("#history a[aria-current=page]")
    expect(title).to_have_text("New title")
    tab.page.bring_to_front()
    with tab.page.expect_request_finished(lambda request: "/chat/history" in request.url):
        late[0].fulfill(body=old, content_type="text/html")
    tab.page.evaluate("() => new Promise(requestAnimationFrame)")
    expect(title).to_have_text("New title")


# --- Renaming and deleting --------------------------------------------------------------------------------------------


def rename(tab: ChatPage, old: str, new: str) -> None:
    tab.press_in_history(old, "Rename or move")
    tab.page.get_by_label("Title", exact=True).fill(new)
    tab.page.get_by_role("button", name="Save").click()


def test_a_chat_can_be_renamed(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Old title")
    tab.wait_for_state("complete")

    rename(tab, "Old title", "Better <b>title</b>")

    expect(tab.page.locator("#history a[aria-current=page]")).to_have_text("Better <b>title</b>")
    assert tab.page.title().startswith("Better <b>title</b> · ")
    assert tab.page.locator("#history b").count() == 0


def test_a_title_of_spaces_is_refused_with_the_site_s_words(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Old title")
    tab.wait_for_state("complete")

    rename(tab, "Old title", "   ")

    expect(tab.page.get_by_role("alert")).to_have_text("A conversation needs a title. Write one first.")
    assert tab.page.get_by_role("dialog").is_visible()
    tab.problems.clear()  # the browser logs the 400 itself


def test_a_chat_is_deleted_only_after_asking(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Delete me")
    tab.wait_for_state("complete")
    address = tab.page.url
    tab.press_in_history("Delete me", "Delete")
    assert "“Delete me”" in tab.page.get_by_role("dialog").inner_text()
    tab.page.get_by_role("button", name="Keep it").click()
    expect(tab.page.locator("#history a", has_text="Delete me")).to_be_visible()

    tab.press_in_history("Delete me", "Delete")
    tab.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    tab.page.wait_for_url("**/chat")

    assert tab.page.locator("#history a", has_text="Delete me").count() == 0
    assert tab.page.request.get(address).status == 404


# --- Hostile text -----------------------------------------------------------------------------------------------------

FOREIGN = "script, img, iframe, svg:not(.icon), style, form, object"
NOTHING_RAN = f"window.ran === undefined && !document.querySelector('#messages :is({FOREIGN})')"
EVIL = "<script>window.ran=1</script><img src=x onerror='window.ran=1'>\"'>"


def test_hostile_answers_and_questions_run_nothing(tab: ChatPage, worker: ScriptedWorker) -> None:
    attacks = "\n\n".join(ATTACKS.values()).replace("alert(1)", "window.ran=1").encode("utf-8", "replace").decode()
    worker.fake.play(attacks.replace("\x00", ""))
    tab.open(model=worker.model)

    tab.send(EVIL)
    tab.wait_for_state("complete")
    assert tab.page.evaluate(NOTHING_RAN)
    tab.page.reload()

    assert tab.page.evaluate(NOTHING_RAN)
    # Not its inner text: the long answer has scrolled it out of sight, where nothing is laid out.
    assert (tab.page.locator(".message--user .message__body").text_content() or "").strip() == EVIL
    assert EVIL in (tab.page.locator("#history a[aria-current=page]").text_content() or "")
    assert tab.page.title().startswith("<script>")


def test_links_of_an_answer_open_apart_and_tell_nothing(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("See [this](https://example.org/a).")
    tab.open(model=worker.model)
    tab.send("A link")
    tab.wait_for_state("complete")

    link = tab.last_answer.get_by_role("link")

    assert link.get_attribute("rel") == "noopener noreferrer nofollow ugc"
    assert (link.get_attribute("target"), link.get_attribute("referrerpolicy")) == ("_blank", "no-referrer")


def test_back_leads_from_a_new_chat_to_the_empty_page(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Forth")
    tab.wait_for_state("complete")

    tab.page.go_back()

    expect(tab.page.locator("#empty")).to_be_visible()
    expect(tab.page.locator(".message")).to_have_count(0)


def test_a_failed_answer_that_is_not_the_last_offers_nothing_to_try(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("Half", Fail())
    worker.fake.play("Whole.")
    tab.open(model=worker.model)
    tab.send("One")
    tab.wait_for_state("failed")

    tab.send("Two")
    tab.wait_for_state("complete")

    assert tab.page.get_by_role("button", name="Try again").count() == 0


def test_drafts_of_one_person_are_not_shown_to_the_next(tab: ChatPage, worker: ScriptedWorker) -> None:
    name, password = f"erin-{worker.model}", "a long enough secret"
    tab.open("/chat")
    tab.text_box.fill("nobody's draft")
    tab.page.goto(tab.site.url + "/accounts/signup/")
    tab.page.get_by_label("Username").fill(name)
    tab.page.get_by_label("Password", exact=True).fill(password)
    tab.page.get_by_label("Password (again)").fill(password)
    tab.page.get_by_role("button", name="Make an account").click()

    expect(tab.page.locator(".sidebar__viewer")).to_have_text(name)
    tab.page.wait_for_function("() => document.querySelector('#send').getAttribute('aria-disabled')")
    assert tab.text_box.input_value() == ""
    tab.page.get_by_role("link", name="Sign out").click()
    tab.page.get_by_role("button", name="Sign out").click()

    expect(tab.page.get_by_role("link", name="Sign in")).to_be_visible()
    expect(tab.text_box).to_have_value("nobody's draft")
