"""Images in the chat: put in by the button, by pasting and by dragging; described, taken out, sent and shown."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.fake_worker import FakeWorker
from tests.gpu_worker.tiny_vision import picture
from tests.web.support import ChatPage, ScriptedWorker

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SHOWN = "(image) => image.complete && image.naturalWidth > 0"
GIVE = """([selector, kind, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "shot.png", { type: "image/png" }));
  const options = { bubbles: true, cancelable: true, clipboardData: transfer, dataTransfer: transfer };
  const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
  document.querySelector(selector).dispatchEvent(event);
}"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "holiday [1].png"
    picture(300, 200).save(path)
    return path


@pytest.fixture
def seeing(worker: ScriptedWorker) -> Iterator[ScriptedWorker]:
    set_sight(worker, sees=True)
    yield worker
    set_sight(worker, sees=False)


def set_sight(worker: ScriptedWorker, *, sees: bool) -> None:
    worker.site.query(
        "UPDATE catalog_languagemodel SET sees_images = %s WHERE name = %s RETURNING id", sees, worker.model
    )


def test_a_person_attaches_an_image_describes_it_and_the_model_sees_it(
    tab: ChatPage, seeing: ScriptedWorker, fake: FakeWorker, photo: Path, artifacts: Path
) -> None:
    tab.open(model=seeing.model)
    tab.text_box.fill("What is this?")
    tab.page.set_input_files("#attach-file", photo)
    strip = tab.page.locator("#composer-images")
    expect(strip.get_by_role("listitem")).to_have_count(1)
    words = strip.get_by_label("Description")
    expect(words).to_have_value("holiday 1")
    words.fill("A slope in grey")
    words.press("Enter")
    expect(strip.get_by_role("img", name="A slope in grey")).to_be_visible()
    expect(tab.text_box).to_have_value("What is this?")  # without marks that nobody wants to read
    words.fill("A hill")
    words.blur()
    expect(strip.get_by_role("img", name="A hill")).to_be_visible()
    words.fill("A slope in")
    tab.text_box.evaluate("(box) => box.dispatchEvent(new Event('input'))")
    words.press_sequentially(" grey")  # what is not yet taken over is not taken away
    words.press("Tab")
    expect(strip.get_by_role("button", name="Take the image out")).to_be_focused()
    expect(strip.get_by_role("img", name="A slope in grey")).to_be_visible()
    tab.page.screenshot(path=artifacts / "image-attached.png")

    tab.page.reload()  # a draft like any other
    tab.page.select_option("#model", seeing.model)
    expect(strip.get_by_role("img", name="A slope in grey")).to_be_visible()
    expect(tab.text_box).to_have_value("What is this?")

    fake.play("A slope.")
    tab.page.context.set_offline(True)
    tab.text_box.press("Enter")
    expect(tab.notice).to_contain_text("You are not connected")
    sent = tab.page.locator(".message--user")  # not yet, but shown already
    expect(sent.get_by_role("img", name="A slope in grey")).to_be_visible()
    assert (sent.locator(".message__body").text_content() or "").strip() == "What is this?"
    tab.page.context.set_offline(False)
    tab.wait_for_state("complete")
    expect(strip).to_be_hidden()
    image = sent.get_by_role("img", name="A slope in grey")
    expect(image).to_be_visible()
    tab.page.wait_for_function(SHOWN, arg=image.element_handle())
    tab.page.screenshot(path=artifacts / "image-sent.png")
    parts = fake.requests[-1]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[0]["text"].strip() == "What is this?"
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert tab.problems == []


def test_a_suggestion_is_sent_with_the_images_of_the_message(
    tab: ChatPage, seeing: ScriptedWorker, fake: FakeWorker, photo: Path
) -> None:
    tab.open(model=seeing.model)
    tab.page.set_input_files("#attach-file", photo)
    tab.page.locator("#composer-images").get_by_role("listitem").wait_for()
    fake.play("Tokyo.")
    tab.page.locator("[data-prompt]", has_text="Japan").click()
    tab.wait_for_state("complete")
    parts = fake.requests[-1]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[0]["text"].strip() == "What is the capital of Japan?"


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_an_image_is_pasted_or_dragged_in_and_taken_out_again(
    tab: ChatPage, seeing: ScriptedWorker, photo: Path, kind: str
) -> None:
    tab.open(model=seeing.model)
    tab.text_box.fill("Words stay")
    data = base64.b64encode(photo.read_bytes()).decode()
    tab.page.evaluate(GIVE, ["#composer-text", kind, data])
    strip = tab.page.locator("#composer-images")
    expect(strip.get_by_role("img", name="shot")).to_be_visible()
    strip.get_by_role("button", name="Take the image out").click()
    expect(strip).to_be_hidden()
    expect(tab.text_box).to_have_value("Words stay")
    expect(tab.text_box).to_be_focused()


def test_models_that_cannot_see_say_so_while_there_is_an_image(
    tab: ChatPage, worker: ScriptedWorker, photo: Path
) -> None:
    tab.open(model=worker.model)
    tab.page.set_input_files("#attach-file", photo)
    expect(tab.page.locator("#model-state")).to_have_text("Cannot see images")
    tab.text_box.press("Enter")
    expect(tab.notice).to_contain_text("cannot see images. Choose a model that can")
    strip = tab.page.locator("#composer-images")
    expect(strip.get_by_role("img", name="holiday 1")).to_be_visible()  # nothing is lost
    strip.get_by_role("button", name="Take the image out").click()
    expect(tab.page.locator("#model-state")).to_have_text("Ready")


def test_what_is_no_image_is_said_and_the_box_stays(tab: ChatPage, seeing: ScriptedWorker, tmp_path: Path) -> None:
    tab.open(model=seeing.model)
    tab.text_box.fill("My words")
    for name, content in (("x.svg", b"<svg onload='alert(1)'/>"), ("x.png", b"no image")):
        (tmp_path / name).write_bytes(content)
        # The browser tells of a refusal too, sooner or later than the page.
        with tab.page.expect_console_message(lambda told: "400" in told.text):
            tab.page.set_input_files("#attach-file", tmp_path / name)
        expect(tab.notice).to_contain_text("The image was not taken")
        tab.problems.clear()
    assert tab.text_box.input_value() == "My words"


def test_of_several_files_each_that_is_not_taken_is_named_and_the_others_are_there(
    tab: ChatPage, seeing: ScriptedWorker, photo: Path, tmp_path: Path
) -> None:
    large, drawing = tmp_path / "large.jpg", tmp_path / "drawing.svg"
    large.write_bytes(b"\xff" * (5 * 2**20 + 1))
    drawing.write_bytes(b"<svg/>")
    tab.open(model=seeing.model)
    sent: list[str] = []
    tab.page.on("request", lambda request: sent.append(request.method) if "/chat/images" in request.url else None)
    with tab.page.expect_console_message(lambda told: "400" in told.text):
        tab.page.set_input_files("#attach-file", [large, drawing, photo])
    expect(tab.page.locator("#composer-images").get_by_role("listitem")).to_have_count(1)
    expect(tab.notice).to_contain_text("large.jpg has more than 5 MiB")
    expect(tab.notice).to_contain_text("drawing.svg: The image was not taken")
    expect(tab.page.locator("#announcer")).to_contain_text("holiday [1].png is in your message.")
    assert sent.count("POST") == 2  # what is too large does not go on its way
    tab.problems.clear()
