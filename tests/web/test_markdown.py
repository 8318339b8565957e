"""What the page shows of a text: the right HTML, safe HTML, and the same HTML while it streams."""

from collections.abc import Callable
from time import process_time
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.conversations.markdown import BlockStream, render, render_user
from apps.conversations.markdown.grammar import block_html, normalise_newlines, replace_unsafe_characters, split_blocks
from apps.conversations.markdown.rendering import sanitise
from tests.web.attacks import ATTACKS, SLOW_ONES, inspect

T = TypeVar("T")

PIECES = [
    "\n", "\n\n", "\r\n", "\r", " ", "  ", "    ", "\t", "a", "word ", "|", "a|b", "-|-", "# ", "- ", "* ", "10. ",
    "> ", "```", "```py\n", "~~~", "===", "---", "***", "*b*", "`c`", "[x](http://e.example)", "[x]: http://e.example",
    "![i](http://e.example)", "<b>", "&amp;", "\\", "\x00", "\u202e", "\ud83d", "é", "日本", "\u2028", "\f",
    "$", "$$", "$$\n", " $$\n", "x^2", "\\[", "\\[\n", "\\]\n", "\\(", "\\)", "<think>", "</think>",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=200)


def stream(text: str, size: int) -> BlockStream:
    blocks = BlockStream()
    for start in range(0, len(text), size):
        blocks.feed(text[start : start + size])
    blocks.finish()
    return blocks


SLOW = 8.0
"""So many times what an ordinary answer of 100,000 characters costs: relative, so that it holds on any machine."""


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it makes, and the seconds that this costs."""
    start = process_time()
    made = work()
    return made, process_time() - start


@pytest.fixture(scope="module")
def ordinary_s() -> float:
    """What an ordinary long answer costs here."""
    text = (LONG["prose with code"] * 10_000)[:100_000]
    return max(timed(lambda: render(text))[1] for _ in range(2))


# --- The right HTML ---------------------------------------------------------------------------------------------------


def test_emphasis_lists_and_links_are_rendered() -> None:
    html = render("Some *soft* and **strong** text.\n\n1. one\n2. [two](https://e.example/a?b=1&c=2)\n\n~~gone~~")

    assert "<em>soft</em>" in html
    assert "<strong>strong</strong>" in html
    assert "<ol>" in html
    assert 'href="https://e.example/a?b=1&amp;c=2"' in html
    assert "<s>gone</s>" in html


def test_headings_begin_below_the_heading_of_a_message() -> None:
    assert render("# One\n\n## Two\n\n###### Six") == "<h3>One</h3>\n<h4>Two</h4>\n<h6>Six</h6>\n"


def test_known_languages_are_coloured_by_classes_and_keep_their_text() -> None:
    html = render('```python\nprint("<hi>")  # ✓\n```')

    assert '<span class="code__language">python</span>' in html
    assert '<span class="hl-nb">print</span>' in html
    assert "style" not in html
    assert inspect(html).text == 'pythonprint("<hi>")  # ✓\n\n'


def test_the_blank_lines_of_code_are_kept_for_the_copy_button() -> None:
    assert inspect(render("```python\n\n\nx = 1\n\n```")).text == "python\n\nx = 1\n\n\n"


@pytest.mark.parametrize("language", ["", "klingon", "makefile"])
def test_code_of_other_languages_is_shown_plain(language: str) -> None:
    html = render(f"```{language}\n\n  a <b>\n\n```")

    assert "<pre><code>\n  a &lt;b&gt;\n\n</code></pre>" in html
    assert "hl-" not in html


def test_tables_align_by_class_because_inline_style_is_forbidden() -> None:
    html = render("|a|b|\n|--:|:-:|\n|1|2|")

    assert '<div class="table"><table>' in html
    assert '<td class="align-right">1</td>' in html
    assert '<th class="align-center">b</th>' in html


def test_images_are_never_loaded_but_linked() -> None:
    assert inspect(render("![a cat](https://e.example/cat.png)")).links == ["https://e.example/cat.png"]
    assert inspect(render("![a cat](https://e.example/cat.png)")).text == "image: a cat\n"


def test_an_image_inside_a_link_leaves_one_link() -> None:
    html = inspect(render("[![a cat](https://e.example/cat.png)](https://f.example)"))

    assert (html.links, html.text) == (["https://f.example"], "image: a cat\n")


def test_a_link_with_a_forbidden_scheme_is_shown_as_it_was_written() -> None:
    assert render("[x](javascript:alert(1))") == "<p>[x](javascript:alert(1))</p>\n"


def test_what_is_nested_too_deeply_is_shown_as_it_was_written() -> None:
    html = render("> " * 200 + "the point")

    assert inspect(html).text == "> " * 200 + "the point"
    assert inspect(html).problems == []


def test_a_person_s_text_keeps_its_lines_and_marks() -> None:
    assert render_user("*a* <b>\r\nc\n\n\n# d") == "<p>*a* &lt;b&gt;<br>c</p><p># d</p>"


# --- Safe HTML --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_leave_nothing_but_harmless_elements(name: str) -> None:
    for html in (render(ATTACKS[name]), render_user(ATTACKS[name]), "".join(stream(ATTACKS[name], 3).blocks)):
        assert inspect(html).problems == []


@pytest.mark.parametrize("name", ATTACKS)
def test_each_of_the_two_locks_holds_alone(name: str) -> None:
    attack = replace_unsafe_characters(normalise_newlines(ATTACKS[name]))

    assert inspect(sanitise(attack)).problems == []
    parsed = inspect("".join(block_html(block) for block in split_blocks(attack)))
    own = ("attribute a title", "link with")  # harmless, and set or taken away by the sanitiser
    assert [problem for problem in parsed.problems if not problem.startswith(own)] == []


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_inside_other_blocks_leave_nothing_either(name: str) -> None:
    attack = ATTACKS[name]
    lines = attack.replace("\n", "\n> ")

    for text in (f"> {lines}", f"- {attack}", f"**{attack}**", f"a {attack} b\n\n{attack}"):
        assert inspect(render(text)).problems == []


@pytest.mark.parametrize("name", SLOW_ONES)
def test_texts_made_to_be_slow_are_not(name: str, ordinary_s: float) -> None:
    html, cost_s = timed(lambda: render(SLOW_ONES[name]))

    assert cost_s < SLOW * ordinary_s
    assert inspect(html).problems == []


def test_bidirectional_controls_cannot_disguise_code() -> None:
    assert render("`a\u202eb\u2066c`") == "<p><code>abc</code></p>\n"
    assert render_user("a\u202eb") == "<p>ab</p>"


def test_marks_that_right_to_left_prose_needs_are_kept() -> None:
    assert "\u200f" in render("שלום\u200f!")


def test_nul_and_lone_surrogates_become_replacement_characters() -> None:
    assert render("a\x00b\ud83dc") == "<p>a\ufffdb\ufffdc</p>\n"


@given(st.text(max_size=400) | st.lists(st.sampled_from(list(ATTACKS.values())), max_size=3).map("".join))
@settings(max_examples=200, deadline=None)
def test_whatever_a_model_writes_comes_out_harmless(text: str) -> None:
    assert inspect(render(text)).problems == []


# --- The same HTML while it streams -----------------------------------------------------------------------------------


@given(TEXTS, st.lists(st.integers(min_value=1, max_value=12), min_size=1, max_size=12))
@settings(max_examples=600, deadline=None)
@example("```\n\nstill code", [1])
@example("p\n```a|b\n-|-\n```\nthe fence begins after the table", [1])
@example("# h\n    a\n\n    b", [1])
@example("# a|b\n-|-\nthis is one too", [1])
@example("- a\n\n- b\n\n  c\n\nd", [1])
@example("    a\n\n    b\n\nc", [1])
@example("````\n```\n````\n", [1])
@example("a\n===\n> b\nlazy\n\n> c", [1])
def test_blocks_of_a_stream_joined_are_the_finished_text_however_it_is_cut(text: str, sizes: list[int]) -> None:
    blocks = BlockStream()
    start = turn = 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        blocks.feed(text[start : start + size])
        start, turn = start + size, turn + 1
    blocks.finish()

    assert "".join(blocks.blocks) == render(text)


def test_feed_returns_what_it_adds_and_the_tail_is_the_rest() -> None:
    blocks = BlockStream()

    assert blocks.feed("One para") == []
    assert blocks.tail == "One para"
    assert blocks.feed("graph.\n\nTwo") == ["<p>One paragraph.</p>\n"]
    assert blocks.tail == "Two"
    assert blocks.finish() == ["<p>Two</p>\n"]
    assert blocks.blocks == ["<p>One paragraph.</p>\n", "<p>Two</p>\n"]
    assert (blocks.tail, blocks.finish()) == ("", [])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("A paragraph.\n\n", 1),
        ("# A heading\nand", 0),
        ("# A heading\nand its\n\n", 2),
        ("```py\nx = 1\n```\n", 1),
        ("```py\nx = 1\n\n", 0),
        ("- a\n- b\n\n", 0),
        ("- a\n- b\n\nNo list\n", 1),
        ("|a|b|\n|-|-|\n|1|2|\n\n", 1),
        ("Then:\n- a\n", 1),
        ("Then:\n```\ncode\n", 1),
    ],
)
def test_a_block_is_given_out_as_soon_as_nothing_can_change_it(text: str, count: int) -> None:
    blocks = BlockStream()
    for character in text:
        blocks.feed(character)

    assert len(blocks.blocks) == count


LONG = {
    "prose with code": "One *paragraph* with `code`.\n\n- a\n- b\n\n```python\nx = [1, 2]\n```\n\n",
    "open fence": "x = 1  # a line of code\n",
    "one list": "- an item\n",
    "one loose list": "1. an item\n\n   of two paragraphs\n\n",
    "one quote": "> quoted\n",
    "one line": "word ",
    "table rows": "|a|b|\n",
    "lists by turns": "- a\n* b\n",
    "interrupted lists": "- a\n# b\n",
    "numbers that begin no list": "2. b\n",
    "formulas without an end": "\\[\n\n",
    "formulas far apart without an end": "\\[\n\n\n\n\n",
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_answer_in_small_deltas_costs_little_more_than_in_one_piece(name: str, ordinary_s: float) -> None:
    head = {"open fence": "```python\n", "numbers that begin no list": "a\n", "table rows": "|a|b|\n|-|-|\n"}.get(
        name, ""
    )
    text = (head + LONG[name] * 10_000)[:100_000]

    streamed, cost_s = timed(lambda: stream(text, 4))

    assert cost_s < SLOW * ordinary_s
    assert "".join(streamed.blocks) == render(text)
