"""The chat for everybody: by keyboard alone, by ear, zoomed in, on a phone, on paper, from right to left."""

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.fake_worker import Gate
from tests.web.conftest import NewTab
from tests.web.support import ChatPage, ScriptedWorker, new_chat_page

pytestmark = [pytest.mark.browser, pytest.mark.processes]

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
RICH = """Python has **two** ways to sort a list; both are *stable*.

## In place, or a new list

1. `items.sort()` changes the list itself.
2. `sorted(items)` returns a new one.

```python
def by_age(person: Person) -> int:
    \"\"\"Sort key: the age in years.\"\"\"
    return person.age  # an int, so 9 < 10, and this comment is long enough for the block to scroll sideways
```

| Call | Returns | Cost |
|------|---------|---:|
| `sort()` | `None` | O(n log n) |

> Stability matters more often than speed.

See [the manual](https://docs.python.org/3/howto/sorting.html).
"""

FOCUSED_NAME = """() => {
  const element = document.activeElement;
  return element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent.trim();
}"""

UNNAMED = """() => [...document.querySelectorAll("a, button, input, select, textarea, [role=region]")]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    const labelled = element.getAttribute("aria-labelledby");
    return !(element.getAttribute("aria-label") || element.labels?.length || element.textContent.trim()
      || (labelled && document.getElementById(labelled)));
  })
  .map((element) => element.outerHTML.slice(0, 120))"""

TOO_SMALL = """() => [...document.querySelectorAll("a, button, input, select, textarea")]
  .filter((element) => element.checkVisibility() && !element.closest(".prose, .skip-link"))
  .filter((element) => !element.classList.contains("skip-link"))
  .map((element) => [element.getBoundingClientRect(), element.outerHTML.slice(0, 100)])
  .filter(([box]) => box.width < 24 || box.height < 24)
  .map(([box, html]) => `${box.width}x${box.height} ${html}`)"""

HEADINGS = """() => [...document.querySelectorAll("main :is(h1,h2,h3,h4,h5,h6)")]
  .filter((heading) => heading.checkVisibility()).map((heading) => Number(heading.tagName[1]))"""

OVERFLOW_PX = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def ask(tab: ChatPage, worker: ScriptedWorker, answer: str = RICH, question: str = "How do I sort?") -> None:
    worker.fake.play(answer)
    tab.open(model=worker.model)
    tab.send(question)
    tab.wait_for_state("complete")


# --- By keyboard ------------------------------------------------------------------------------------------------------


def press_until(tab: ChatPage, name: str, key: str = "Tab", *, limit: int = 40) -> None:
    """Go on with a key until the element of this name has the focus."""
    for _ in range(limit):
        tab.page.keyboard.press(key)
        if name in tab.page.evaluate(FOCUSED_NAME):
            return
    raise AssertionError(f"{key} never came to {name!r}")


def test_everything_can_be_done_by_keyboard(tab: ChatPage, worker: ScriptedWorker) -> None:
    worker.fake.play("First.")
    worker.fake.play("Second", Gate())
    tab.open(model=worker.model)
    keyboard = tab.page.keyboard

    keyboard.type("By hand")
    keyboard.press("Enter")
    tab.wait_for_state("complete")
    press_until(tab, "Regenerate the answer", "Shift+Tab")
    keyboard.press("Enter")
    tab.wait_for_text("Second")
    keyboard.press("Escape")
    tab.wait_for_state("stopped")

    # The list follows a moment after the answer; a person's fingers are slower than that.
    expect(tab.page.locator("#history a[aria-current=page]")).to_have_text("By hand")
    press_until(tab, "Rename or move “By hand”", "Shift+Tab")
    keyboard.press("Enter")
    keyboard.type("By keyboard")
    keyboard.press("Enter")
    expect(tab.page.locator("#history a[aria-current=page]")).to_have_text("By keyboard")

    press_until(tab, "Delete “By keyboard”")
    keyboard.press("Enter")
    assert tab.page.evaluate(FOCUSED_NAME) == "Keep it"
    press_until(tab, "Delete")
    keyboard.press("Enter")
    tab.page.wait_for_url("**/chat")


def test_the_focus_is_always_to_be_seen(tab: ChatPage, worker: ScriptedWorker) -> None:
    ask(tab, worker)
    tab.page.evaluate("document.activeElement.blur()")
    unseen = []

    for _ in range(30):
        tab.page.keyboard.press("Tab")
        outline = tab.page.evaluate(
            """() => { const own = document.activeElement;
            const style = getComputedStyle(own.matches(".composer__text") ? own.closest("form") : own);
            return [style.outlineStyle, parseFloat(style.outlineWidth), own.outerHTML.slice(0, 80)]; }"""
        )
        if outline[0] == "none" or outline[1] < 1:
            unseen.append(outline[2])

    assert [html for html in unseen if not html.startswith("<body")] == []


def test_the_first_stop_skips_to_the_message_box(new_tab: NewTab) -> None:
    tab = new_tab(**PHONE).open()  # where the page does not put the focus into the box by itself

    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate(FOCUSED_NAME) == "Skip to the message box"
    tab.page.keyboard.press("Enter")

    expect(tab.text_box).to_be_focused()


def test_a_question_mark_shows_the_shortcuts_but_not_while_typing(tab: ChatPage) -> None:
    tab.open()
    tab.text_box.press("?")
    assert tab.text_box.input_value() == "?"
    assert tab.page.get_by_role("dialog").count() == 0

    tab.page.locator("#thread").focus()
    tab.page.keyboard.press("?")
    expect(tab.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    tab.page.keyboard.press("Escape")

    expect(tab.page.get_by_role("dialog")).to_be_hidden()


def test_after_a_dialog_the_focus_is_where_it_was(tab: ChatPage, worker: ScriptedWorker) -> None:
    ask(tab, worker)
    button = tab.page.get_by_role("button", name="Delete “How do I sort?”")
    button.focus()

    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Escape")

    expect(button).to_be_focused()


def test_a_list_that_changes_behind_a_dialog_takes_no_focus_away(tab: ChatPage, worker: ScriptedWorker) -> None:
    ask(tab, worker)
    other = new_chat_page(tab.page.context, tab.site).open()
    tab.page.bring_to_front()
    button = tab.page.get_by_role("button", name="Delete “How do I sort?”")
    button.focus()
    tab.page.keyboard.press("Enter")

    with tab.page.expect_response("**/chat/history*"):
        other.press_in_history("How do I sort?", "Pin")
    tab.page.bring_to_front()
    tab.page.keyboard.press("Escape")

    expect(tab.page.locator("#history .history__day").first).to_have_text("Pinned")
    expect(button).to_be_focused()


# --- By ear -----------------------------------------------------------------------------------------------------------


def test_a_screen_reader_hears_sentences_and_blocks_once_and_no_tokens(tab: ChatPage, worker: ScriptedWorker) -> None:
    words = [
        "A ",
        "first",
        " sentence",
        ". A sec",
        "ond **one**.",
        "\n\n",
        "- an it",
        "em\n",
        "- another\n\n",
        "The",
        " end.",
    ]
    worker.fake.play(*words)
    tab.open(model=worker.model)
    tab.page.evaluate(
        """() => { window.heard = []; new MutationObserver((changes) => changes.forEach((change) =>
        change.addedNodes.forEach((node) => heard.push(node.textContent)))).observe(
        document.querySelector("#announcer"), { childList: true }); }"""
    )

    tab.send("Speak")
    tab.wait_for_state("complete")

    heard = tab.page.evaluate("heard")
    assert heard[-1] == "The answer is complete."
    said = " ".join(" ".join(heard[:-1]).split())
    assert said == "A first sentence. A second one. an item another The end."
    assert len(heard) <= 6


@pytest.mark.parametrize(
    ("tail", "finished", "heard"),
    [
        ("A first sentence. A sec", "A first sentence. A second one.", ["A first sentence.", "A second one."]),
        ('She said "yes." And w', 'She said "yes." “And why?”', ['She said "yes.', "“And why?”"]),
        ("一句。两", "一句。两句。", ["一句。", "两句。"]),
        ("A line\nand an", "A line\nand another", ["A line", "and another"]),
        ("Not yet one", "Not yet one. (But now.)", ["Not yet one. (But now.)"]),
    ],
)
def test_a_block_is_read_from_the_sentence_that_was_not_read(
    tab: ChatPage, worker: ScriptedWorker, tail: str, finished: str, heard: list[str]
) -> None:
    tab.open(model=worker.model)
    said = tab.page.evaluate(
        """async ([tail, finished]) => {
            const { SentenceReader } = await import("/static/js/lib/reader.js");
            const place = document.createElement("div");
            const reader = new SentenceReader(place);
            reader.tail(tail);
            reader.blocks([finished], "");
            return [...place.children].map((line) => line.textContent);
        }""",
        [tail, finished],
    )
    assert said == heard


def test_every_control_has_a_name(tab: ChatPage, worker: ScriptedWorker) -> None:
    ask(tab, worker)

    assert tab.page.evaluate(UNNAMED) == []


def test_headings_never_skip_a_level(tab: ChatPage, worker: ScriptedWorker) -> None:
    ask(tab, worker)

    levels = tab.page.evaluate(HEADINGS)

    assert levels[0] == 1
    # The answer's own "##" may be its first heading, so one step beyond is the model's choice.
    assert all(after - before <= 2 for before, after in pairwise(levels))


# --- By touch, zoomed, on paper ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_every_target_is_large_enough(new_tab: NewTab, worker: ScriptedWorker, options: dict[str, object]) -> None:
    tab = new_tab(**options)
    ask(tab, worker)

    assert tab.page.evaluate(TOO_SMALL) == []


def test_on_a_phone_the_sidebar_is_a_drawer_that_keeps_the_focus(new_tab: NewTab, worker: ScriptedWorker) -> None:
    tab = new_tab(**PHONE)
    ask(tab, worker)
    opener = tab.page.get_by_role("button", name="Open the menu")
    assert not tab.page.locator("#sidebar").is_visible()

    opener.tap()
    expect(tab.page.get_by_role("button", name="Close the menu")).to_be_focused()
    assert tab.page.evaluate("document.querySelector('#shell-main').inert")
    tab.page.keyboard.press("Escape")

    expect(opener).to_be_focused()
    expect(tab.page.locator("#sidebar")).to_be_hidden()


@pytest.mark.parametrize("width", [320, 640, 853])
def test_nothing_is_cut_off_when_the_page_is_zoomed(new_tab: NewTab, worker: ScriptedWorker, width: int) -> None:
    """320 px are 1280 at 400 % (WCAG 1.4.10), 640 are 1280 at 200 %."""
    tab = new_tab(viewport={"width": width, "height": 512})
    ask(tab, worker, RICH + "\n\n" + "longword" * 60)

    assert tab.page.evaluate(OVERFLOW_PX) <= 0
    for name in ("#composer-text", "#send", "#model"):
        box = tab.page.locator(name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 512


def test_who_wants_less_motion_gets_none(new_tab: NewTab, worker: ScriptedWorker) -> None:
    worker.fake.play("Slow", Gate())
    tab = new_tab(reduced_motion="reduce")
    tab.open(model=worker.model)
    tab.send("Move")
    tab.wait_for_text("Slow")

    caret = "getComputedStyle(document.querySelector('.message__tail'), '::after').animationDuration"

    assert tab.page.evaluate(caret) == "0s"


def test_on_paper_there_are_the_words_and_no_controls(tab: ChatPage, worker: ScriptedWorker) -> None:
    ask(tab, worker)

    tab.page.emulate_media(media="print")

    for name in ("#sidebar", "#composer", ".header", ".message__foot"):
        assert not tab.page.locator(name).first.is_visible()
    assert tab.last_answer.locator(".message__body").is_visible()
    assert tab.page.evaluate("getComputedStyle(document.querySelector('#thread')).overflowY") == "visible"


def test_each_paragraph_finds_its_own_direction(tab: ChatPage, worker: ScriptedWorker) -> None:
    ask(tab, worker, "שלום עולם, זו תשובה.\n\nAnd this is English.", "מה שלומך?")
    paragraphs = tab.last_answer.locator(".message__body p")
    column = tab.last_answer.locator(".message__body").bounding_box()
    assert column is not None

    starts = "element => { const range = document.createRange(); range.selectNodeContents(element);" \
        " const box = range.getBoundingClientRect(); return [box.left, box.right]; }"  # fmt: skip
    hebrew, english = paragraphs.nth(0).evaluate(starts), paragraphs.nth(1).evaluate(starts)

    assert abs(hebrew[1] - (column["x"] + column["width"])) < 2
    assert abs(english[0] - column["x"]) < 2


# --- For the eye ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("device", "options"), [("wide", {}), ("phone", PHONE)], ids=["wide", "phone"])
def test_pictures_are_taken(
    new_tab: NewTab, worker: ScriptedWorker, artifacts: Path, theme: str, device: str, options: dict[str, object]
) -> None:
    tab = new_tab(color_scheme=theme, **options)
    tab.open(model=worker.model)
    tab.page.screenshot(path=artifacts / f"chat-{device}-{theme}-empty.png")
    ask(tab, worker)
    tab.page.locator("#jump").wait_for(state="hidden")
    tab.page.locator("#history a[aria-current=page]").wait_for(state="attached")
    tab.page.screenshot(path=artifacts / f"chat-{device}-{theme}-answer.png")

    background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert background == {"light": "rgb(252, 251, 248)", "dark": "rgb(24, 23, 21)"}[theme]
    assert tab.page.evaluate(OVERFLOW_PX) <= 0


def test_keys_that_are_a_character_can_be_switched_off_and_stay_off(tab: ChatPage) -> None:
    tab.open()
    tab.page.locator("#thread").focus()
    tab.page.keyboard.press("?")
    dialog = tab.page.get_by_role("dialog", name="Keyboard shortcuts")
    dialog.get_by_role("checkbox").uncheck()
    tab.page.keyboard.press("Escape")

    for path in ("/chat", "/arena"):
        tab.page.goto(tab.site.url + path)
        tab.page.evaluate("document.activeElement.blur()")
        tab.page.keyboard.press("/")
        tab.page.keyboard.press("?")
        expect(dialog).to_be_hidden()
        expect(tab.page.locator("textarea:focus")).to_have_count(0)

    tab.page.get_by_role("button", name="Keyboard shortcuts").click()
    dialog.get_by_role("checkbox").check()
    tab.page.keyboard.press("Escape")
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.keyboard.press("/")
    expect(tab.page.locator("textarea:focus")).to_have_count(1)
