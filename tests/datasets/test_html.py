"""Pages become Markdown: what people wrote stays, what the page put around it goes."""

from collections import Counter

import pytest

from apps.datasets.markup.bounds import HTML_MAX_DEPTH
from apps.datasets.markup.reading import markdown_of
from apps.datasets.steps.base import Dropped
from apps.datasets.steps.html import HtmlToMarkdown, PageRemains
from tests.datasets.support import Notes, talk

CODE_BLOCK = (
    '<pre><div class="bg-black rounded-md"><div class="flex"><span>{label}</span><button>'
    '<svg><path d="M1"></path></svg>Copy code</button></div><div class="p-4">'
    '<code class="{css}">if x &lt; y:\n    <span class="hljs-keyword">return</span> __name__\n</code></div></div></pre>'
)
CODE = "if x < y:\n    return __name__\n"
TEX = (
    '<span class="katex"><span class="katex-mathml"><math><mi>x</mi>'
    '<annotation encoding="application/x-tex">{}</annotation></math></span></span>'
)


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<p>a <strong>b</strong> <em>c</em> <code>d_e</code></p>", "a **b** *c* `d_e`"),
        ("<p>1 &lt; 2 &amp; a*b_c</p>", "1 < 2 & a*b_c"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c"),
        ('<ol start="3"><li>c</li><li>d</li></ol>', "3. c\n4. d"),
        ("<h2>Title</h2><p>x</p>", "## Title\n\nx"),
        ('<p><a href="https://example.org/1" target="_new">link</a></p>', "[link](https://example.org/1)"),
        (
            "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2|3</td></tr></tbody></table>",
            "| a | b |\n| --- | --- |\n| 1 | 2\\|3 |",
        ),
        ("<p>a</p><script>alert(1)</script><style>p{}</style><p>b</p>", "a\n\nb"),
        ("<p>open <b>never closed", "open **never closed**"),
        (CODE_BLOCK.format(label="python", css="hljs language-python"), f"```python\n{CODE}```"),
        (CODE_BLOCK.format(label="c++", css="hljs"), f"```c++\n{CODE}```"),
        (CODE_BLOCK.format(label="", css="hljs"), f"```\n{CODE}```"),
        ("<pre><code>a\n\n\nb</code></pre>", "```\na\n\n\nb\n```"),
        (f"<p>so {TEX.format('a_1*b_2')} it is</p>", "so $a_1*b_2$ it is"),
        (f'<div class="math math-display">{TEX.format(chr(92) + "frac{1}{2}")}</div>', "$$\\frac{1}{2}$$"),
    ],
)
def test_the_text_stays(html: str, markdown: str) -> None:
    assert markdown_of(html) == markdown


def test_empty_lines_of_code_stay_and_those_of_text_do_not_pile_up() -> None:
    assert markdown_of("<p>a</p><br><br><br><br><p>b</p>").count("\n\n\n") == 0


def test_text_without_markup_is_not_touched() -> None:
    said = "  if x < y and y > 2: print('<b')\n\n\n1. one\n1. one  "
    record = talk("ua", said, said)
    assert HtmlToMarkdown().apply(record, notes := Notes()) is record
    assert [m.content for m in record.messages] == [said, said]
    assert not notes
    assert record.steps == []


@pytest.mark.parametrize(
    "text",
    [
        "Close it with `</div>`,\nand  not with `</p>`.",
        "So:\n\n```html\n<div>\n  <p>Hi</p>\n</div>\n```\n\nThat  is all.",
        "So:\n\n  ~~~\n<ul><li>a</li></ul>\n  ~~~\nand\n```\n<b>never closed</b>",
    ],
)
def test_markdown_that_shows_html_is_not_touched(text: str) -> None:
    record = talk("ua", text, text)
    HtmlToMarkdown().apply(record, Notes())
    assert [m.content for m in record.messages] == [text, text]
    assert record.steps == []


def test_a_page_that_shows_html_stays_as_it_is_the_second_time() -> None:
    record = talk("ua", "Hi", "<p>So:</p><pre><code>&lt;div&gt;\n  Hi\n&lt;/div&gt;</code></pre>")
    HtmlToMarkdown().apply(record, Notes())
    once = record.messages[1].content
    assert "<div>\n  Hi\n</div>" in once
    HtmlToMarkdown().apply(record, Notes())
    assert record.messages[1].content == once


def test_what_is_done_is_counted_and_written_down() -> None:
    record = talk("ua", "Hi", "<p>Ho</p>")
    HtmlToMarkdown().apply(record, notes := Notes())
    assert record.messages[1].content == "Ho"
    assert notes == {"message turned into Markdown": 1}
    assert record.steps == ["html_to_markdown"]


def test_it_is_done_once_only() -> None:
    once = talk("ua", "Hi", f"<p>one</p>{CODE_BLOCK.format(label='python', css='language-python')}")
    HtmlToMarkdown().apply(once, Counter())
    first = once.messages[1].content
    HtmlToMarkdown().apply(once, notes := Notes())
    assert (once.messages[1].content, notes) == (first, {})


@pytest.mark.parametrize("tag", ["div", "b", "blockquote", "ul", "small", "q", "unheard-of"])
def test_what_is_nested_too_deep_is_dropped_and_never_cut(tag: str) -> None:
    deep = f"<{tag}>" * 100_000 + "<p>x</p>"
    outcome = HtmlToMarkdown().apply(talk("ua", "Hi", deep), Counter())
    assert isinstance(outcome, Dropped)
    assert outcome.reason == "HTML that cannot be read"


@pytest.mark.parametrize(
    "opened",
    [
        "<p>" + "".join(f"<b id=x{n}>" for n in range(100)) + "</p>",
        "".join(f"<p><small id=x{n}></p>" for n in range(100)),
        "<p>" + "".join(f"<i id=x{n}><object></i></object>" for n in range(100)) + "</p>",
        "<table><td><p>" + "".join(f"<i id=x{n}>" for n in range(100)) + "</p><table><td></td></table>",
        "<p>" + "".join(f"<table><i id=x{n}></table>" for n in range(100)) + "</p>",
    ],
    ids=["in one", "in each", "around what hides their ends", "around a table", "in tables"],
)
def test_marks_that_would_be_opened_again_in_each_block_are_no_bomb(opened: str) -> None:
    """A browser makes them anew in each paragraph: these 40 kB would become gigabytes."""
    assert isinstance(HtmlToMarkdown().apply(talk("ua", "Hi", opened + "<p>x</p>" * 5000), Counter()), Dropped)


@pytest.mark.parametrize("mark", ["<b>", "<a name=x>", "<td><b>x</b>", "<td><b>x"])
def test_marks_that_pages_forget_to_close_are_no_reason_to_drop_them(mark: str) -> None:
    html = "<table>" * mark.startswith("<td") + "".join(f"<tr>{mark} <p>{n}</p>" for n in range(150))
    assert "end" in markdown_of(html + "<p>x</p>" * 3000 + "<p>end</p>")


def test_as_deep_as_is_allowed_keeps_its_text() -> None:
    html = "<ul><li>" * (HTML_MAX_DEPTH - 1) + "deep" + "</li></ul>" * (HTML_MAX_DEPTH - 1)
    assert "deep" in markdown_of(html)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("2 / 3\n\nSo it is.", "So it is."),
        ("So it is.\n\nCopy120 chars / 33 words", "So it is."),
        ("It is 2 / 3 of it.", "It is 2 / 3 of it."),
    ],
)
def test_the_words_of_the_page_go(said: str, left: str) -> None:
    record = talk("ua", said, said)
    PageRemains().apply(record, Counter())
    assert [m.content for m in record.messages] == [said, left], "what people ask stays as it is"


@pytest.mark.parametrize(
    "notice", ["Too many requests in 1 hour. Try again later.", "!Too many requests in 1 hour. Try again later."]
)
def test_a_notice_is_no_answer(notice: str) -> None:
    outcome = PageRemains().apply(talk("ua", "Hi", notice), Counter())
    assert isinstance(outcome, Dropped)
