"""Text files in messages: put in, sent, shown folded; and what is no text file."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from apps.conversations.markdown import render_user
from apps.conversations.markdown.files import FileText, parts_of
from tests.fake_worker import FakeWorker
from tests.web.support import ChatPage, ScriptedWorker

NOTES = "First\n\n```py\nx = 1\n```\n<b>last</b>"


def test_a_file_in_a_message_is_folded_and_the_rest_stays() -> None:
    html = render_user("Look:\n\nFile: a <b>.txt\n```\none\ntwo\n```\n\nWell?")
    assert html == (
        '<p>Look:</p><details class="file"><summary>a &lt;b&gt;.txt '
        '<span class="file__size">2 lines</span></summary>'
        "<pre>one\ntwo</pre></details><p>Well?</p>"
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("File: a\n````\n```\nx\n```\n````", [FileText("a", "```\nx\n```")]),
        ("File: a\n```\nx\n```\nFile: b\n```\ny\n```", [FileText("a", "x"), FileText("b", "y")]),
        ("File: a\n```\n```", [FileText("a", "")]),
        ("File: a\n```\nnever closed", ["File: a\n```\nnever closed"]),
        ("File: a\nno fence\n```\nx\n```", ["File: a\nno fence\n```\nx\n```"]),
        ("```\nx\n```", ["```\nx\n```"]),
        ("File: a", ["File: a"]),
    ],
    ids=["a fence inside", "two", "empty", "not closed", "no fence", "no name", "a name alone"],
)
def test_files_are_told_apart_from_what_was_typed(text: str, parts: list[str | FileText]) -> None:
    assert list(parts_of(text)) == parts


def test_very_many_beginnings_of_files_cost_little() -> None:
    assert render_user("File: a\n```\n" * 5_000)


@pytest.mark.browser
@pytest.mark.processes
def test_a_person_attaches_files_and_the_model_reads_them(
    tab: ChatPage, worker: ScriptedWorker, fake: FakeWorker, tmp_path: Path, artifacts: Path
) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notes, table = tmp_path / "notes.txt", tmp_path / "table.csv"
    notes.write_text(NOTES)
    table.write_bytes(b"a,b\r\n1,2\r\n")
    tab.open(model=worker.model)
    tab.text_box.fill("What is in these?")
    tab.page.set_input_files("#attach-file", [notes, table])
    expect(tab.text_box).to_have_value(
        f"What is in these?\n\nFile: notes.txt\n````\n{NOTES}\n````\n\nFile: table.csv\n```\na,b\n1,2\n```\n"
    )
    tab.page.reload()
    tab.page.select_option("#model", worker.model)
    assert "notes.txt" in tab.text_box.input_value()  # a draft like any other

    fake.play("Notes and a table.")
    tab.text_box.press("Enter")
    tab.wait_for_state("complete")

    assert NOTES in fake.requests[-1]["messages"][0]["content"]
    shown = tab.page.locator(".message--user")
    expect(shown.locator("summary")).to_have_count(2)
    expect(shown.get_by_text("x = 1")).to_be_hidden()
    tab.page.screenshot(path=artifacts / "attached.png")
    shown.get_by_text("notes.txt").click()
    expect(shown.get_by_text("x = 1")).to_be_visible()
    assert shown.locator("pre b").count() == 0
    shown.get_by_text("notes.txt").click()
    shown.hover()
    shown.get_by_role("button", name="Copy your message").click()
    tab.page.wait_for_function("() => document.querySelector('[data-copied=true]')")
    assert "x = 1" in tab.page.evaluate("navigator.clipboard.readText()")


@pytest.mark.browser
@pytest.mark.processes
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a text file"),
        (b"caf\xe9", "is not a text file"),
        (b"a\x00b", "is not a text file"),
        (b"x" * 400_001, "is too large"),
        (b"x" * 100_001, "does not fit"),
    ],
    ids=["an image", "Latin-1", "nul", "too large", "too long"],
)
def test_what_cannot_be_attached_is_said_and_the_box_stays(
    tab: ChatPage, worker: ScriptedWorker, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(content)
    tab.open(model=worker.model)
    tab.text_box.fill("My words")
    tab.page.set_input_files("#attach-file", file)
    expect(tab.notice).to_contain_text(words)
    assert tab.text_box.input_value() == "My words"


@pytest.mark.browser
@pytest.mark.processes
def test_what_a_word_processor_copies_is_pasted_as_text(tab: ChatPage, worker: ScriptedWorker) -> None:
    tab.open(model=worker.model)
    was_left_alone = tab.text_box.evaluate(
        """(box) => {
            const data = new DataTransfer();
            data.setData("text/plain", "two cells");
            data.items.add(new File([new Uint8Array([137, 80, 78, 71, 0])], "image.png", { type: "image/png" }));
            const options = { clipboardData: data, bubbles: true, cancelable: true };
            return box.dispatchEvent(new ClipboardEvent("paste", options));
        }"""
    )
    assert was_left_alone  # so the browser pastes the text
    assert tab.notice.inner_text() == ""
