"""Writing a message: keys, growth, limits, drafts, copying, and the scroll position while an answer arrives."""

import pytest
from playwright.sync_api import expect

from tests.fake_worker import Gate
from tests.web.support import ChatPage, ScriptedWorker

pytestmark = [pytest.mark.browser, pytest.mark.processes]

MAX_CHARS = 100_000
PASTE = """(text) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  const box = document.querySelector("#composer-text");
  const start = performance.now();
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  const wasHandled = !box.dispatchEvent(event);
  return [wasHandled, performance.now() - start];
}"""
AT_END = (
    "() => { const t = document.querySelector('#thread'); return t.scrollHeight - t.clientHeight - t.scrollTop < 8; }"
)


def test_shift_and_enter_start_a_new_line_and_the_box_grows(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    height = tab.text_box.evaluate("box => box.clientHeight")

    tab.text_box.press_sequentially("one")
    tab.text_box.press("Shift+Enter")
    tab.text_box.press("Shift+Enter")
    tab.text_box.press_sequentially("two")

    assert tab.text_box.input_value() == "one\n\ntwo"
    assert tab.text_box.evaluate("box => box.clientHeight") > height + 30
    tab.text_box.press("Enter")
    tab.wait_for_state("complete")
    assert tab.page.locator(".message--user .message__body").inner_text() == "one\n\ntwo"


def test_the_enter_that_ends_a_composition_does_not_send(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.text_box.fill("にほん")

    tab.text_box.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    tab.text_box.dispatch_event("keydown", {"key": "Enter", "keyCode": 229, "bubbles": True})

    assert tab.text_box.input_value() == "にほん"
    assert tab.page.locator(".message").count() == 0


@pytest.mark.parametrize("text", ["", "   \n "])
def test_nothing_is_sent_when_there_is_nothing_to_say(tab: ChatPage, worker: ScriptedWorker, text: str) -> None:
    tab.open(model=worker.model)
    tab.send(text)

    tab.page.locator("#send").click(force=True)

    assert tab.page.locator("#send").get_attribute("aria-disabled") == "true"
    assert tab.page.locator(".message").count() == 0


def test_while_an_answer_runs_enter_keeps_the_next_message_in_the_box(tab: ChatPage, worker: ScriptedWorker) -> None:
    gate = Gate()
    worker.fake.play("One", gate)
    tab.open(model=worker.model)
    tab.send("First")
    tab.wait_for_text("One")

    tab.send("Second")
    assert tab.text_box.input_value() == "Second"
    gate.open()
    tab.wait_for_state("complete", count=1)
    tab.text_box.press("Enter")

    tab.wait_for_state("complete", count=2)


def test_the_count_appears_near_the_limit_and_says_when_it_is_passed(tab: ChatPage) -> None:
    tab.open()
    count = tab.page.locator("#composer-count")
    tab.text_box.fill("x" * 1000)
    assert count.is_hidden()

    tab.text_box.fill("😀" * 45_000 + "x" * 45_000)
    assert count.inner_text() == "90,000 of 100,000 characters"
    tab.text_box.fill("x" * (MAX_CHARS + 1))

    assert count.inner_text() == "100,001 of 100,000 characters"
    assert tab.text_box.get_attribute("aria-invalid") == "true"
    tab.text_box.press("Enter")
    expect(tab.notice).to_contain_text("at most 100,000 characters")


def test_a_message_at_the_limit_goes_through(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)

    tab.send("x" * MAX_CHARS)
    tab.wait_for_state("complete")

    assert len(worker.fake.requests[0]["messages"][0]["content"]) == MAX_CHARS


@pytest.mark.parametrize("character", ["語", "😀", "\x01"], ids=["three bytes", "four bytes", "escaped in six bytes"])
def test_the_longest_message_is_sent_whatever_it_is_written_in(
    tab: ChatPage, worker: ScriptedWorker, character: str
) -> None:
    worker.fake.play("Read.")
    tab.open(model=worker.model)

    tab.send(character * 100_000)
    tab.wait_for_state("complete")

    assert worker.fake.requests[-1]["messages"][-1]["content"] == character * 100_000


def test_a_megabyte_from_the_clipboard_is_refused_at_once_with_words(tab: ChatPage) -> None:
    tab.open()

    was_handled, took_ms = tab.page.evaluate(PASTE, "x" * 1_048_576)

    assert was_handled
    assert took_ms < 200
    expect(tab.notice).to_contain_text("The pasted text has 1,048,576 characters")
    assert tab.text_box.input_value() == ""


def test_each_chat_keeps_its_own_draft(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("First")
    tab.wait_for_state("complete")
    address = f"/chat/{tab.conversation}"
    tab.text_box.fill("for this chat")

    tab.open("/chat")
    assert tab.text_box.input_value() == ""
    tab.text_box.fill("for a new chat")
    tab.open(address)
    expect(tab.text_box).to_have_value("for this chat")
    tab.open("/chat")

    expect(tab.text_box).to_have_value("for a new chat")


def test_a_sent_message_is_no_draft_any_more(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    tab.send("Sent")
    tab.wait_for_state("complete")

    tab.open("/chat")

    assert tab.text_box.input_value() == ""


# --- Reading while it is written --------------------------------------------------------------------------------------


def test_the_end_stays_in_view_unless_the_reader_scrolled_up(tab: ChatPage, worker: ScriptedWorker) -> None:
    first, second = Gate(), Gate()
    lines = "A line of the answer.\n\n" * 40
    worker.fake.play(lines, first, lines, second, "The last line.")
    tab.open(model=worker.model)
    tab.send("Much")
    tab.page.wait_for_function("() => document.querySelectorAll('.message__body p').length >= 40")
    tab.page.wait_for_function(AT_END)

    tab.page.locator("#thread").hover()
    tab.page.mouse.wheel(0, -600)
    jump = tab.page.get_by_role("button", name="Jump to latest")
    expect(jump).to_be_visible()
    before = tab.page.evaluate("document.querySelector('#thread').scrollTop")
    first.open()
    tab.page.wait_for_function("() => document.querySelectorAll('.message__body p').length >= 80")
    assert tab.page.evaluate("document.querySelector('#thread').scrollTop") == before

    jump.click()
    tab.page.wait_for_function(AT_END)
    second.open()
    tab.wait_for_state("complete")
    tab.page.wait_for_function(AT_END)
    expect(jump).to_be_hidden()


def test_code_and_messages_can_be_copied(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("Run this:\n\n```python\nx = 1\nprint(x)\n```\n\n- and\n- that\n")
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.open(model=worker.model)
    tab.send("Code?")
    tab.wait_for_state("complete")

    tab.last_answer.locator(".code__copy").click()
    expect(tab.last_answer.locator(".code__copy")).to_have_text("Copied")
    assert tab.page.evaluate("navigator.clipboard.readText()") == "x = 1\nprint(x)\n"
    tab.page.get_by_role("button", name="Copy the answer").click()
    tab.page.wait_for_function("() => navigator.clipboard.readText().then(text => text.includes('Run this'))")

    text = tab.page.evaluate("navigator.clipboard.readText()")
    assert text.splitlines()[0] == "Run this:"
    assert "print(x)" in text
    assert "python" not in text.replace("print", "")


def test_copying_works_without_a_secure_origin_too(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("```\nplain http\n```\n")
    tab.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    tab.open(model=worker.model)
    tab.send("Code?")
    tab.wait_for_state("complete")

    tab.last_answer.locator(".code__copy").click()
    expect(tab.last_answer.locator(".code__copy")).to_have_text("Copied")
    tab.text_box.focus()
    tab.page.keyboard.press("Control+V")

    expect(tab.text_box).to_have_value("plain http\n")


# --- Pure parts -------------------------------------------------------------------------------------------------------


def test_the_delay_before_a_reconnect_grows_and_varies_within_bounds(tab: ChatPage) -> None:
    tab.open()

    delays = tab.page.evaluate(
        """async () => { const { reconnectDelay } = await import("/static/js/lib/socket.js");
        return [0, 1, 2, 5, 60].map((n) => [reconnectDelay(n, 0), reconnectDelay(n, 0.999999)]); }"""
    )

    assert [round(least) for least, _ in delays] == [250, 500, 1000, 8000, 10000]
    assert [round(most) for _, most in delays] == [500, 1000, 2000, 16000, 20000]


def test_the_socket_refuses_a_transition_that_its_table_does_not_have(tab: ChatPage) -> None:
    tab.open()

    message = tab.page.evaluate(
        """async () => { const { ChatSocket } = await import("/static/js/lib/socket.js");
        const socket = new ChatSocket("/ws/chat"); socket.close();
        try { socket.connect(); } catch (error) { return error.message; } }"""
    )

    assert message == "socket: closed cannot become connecting"
