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
    assert "![A slope in grey](image:" in tab.text_box.input_value()
    tab.page.screenshot(path=artifacts / "image-attached.png")

    tab.page.reload()  # a draft like any other
    tab.page.select_option("#model", seeing.model)
    expect(strip.get_by_role("img", name="A slope in grey")).to_be_visible()

    fake.play("A slope.")
    tab.text_box.press("Enter")
    tab.wait_for_state("complete")
    expect(strip).to_be_hidden()
    image = tab.page.locator(".message--user").get_by_role("img", name="A slope in grey")
    expect(image).to_be_visible()
    tab.page.wait_for_function(SHOWN, arg=image.element_handle())
    tab.page.screenshot(path=artifacts / "image-sent.png")
    parts = fake.requests[-1]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert tab.problems == []


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
    assert "](image:" in tab.text_box.input_value()  # nothing is lost
    tab.page.locator("#composer-images").get_by_role("button", name="Take the image out").click()
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
