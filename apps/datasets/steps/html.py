"""Pages of chats, as they were scraped, to Markdown.

The conversion is html-to-markdown's. Before it, what such pages wrap around code and formulas is unwrapped; after it,
what is left of their buttons and counters is taken away.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field

# What html_to_markdown.convert calls, which makes the same options anew for each message: a fifth of the work.
from html_to_markdown import _html_to_markdown as converter
from html_to_markdown.exceptions import ConversionError
from selectolax.lexbor import LexborHTMLParser, LexborNode

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.datasets.wording import FENCED

_MARKUP = re.compile(
    r"</(?:p|div|span|pre|code|ul|ol|li|table|h[1-6]|blockquote|strong|em|b|i|a|td|math)\s*>|<br\s*/?>|<p>|<div[\s>]",
    re.IGNORECASE,
)
_CODE = re.compile(rf"{FENCED.pattern}|`[^`\n]+`", FENCED.flags)
"""Of Markdown: what stands there is shown, and makes no page of the message around it."""
_WRAPPED = re.compile(r"<(?:pre[\s>]|script|style|button)", re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang)-([\w+#.-]{1,30})")
_LABEL = re.compile(r"[\w+#.-]{1,30}")
_COUNTER = re.compile(r"\A\s*\d{1,3} / \d{1,3}(?:\s+|\Z)")
_COPIED = re.compile(r"Copy\d+ chars / \d+ words")
_MARK = re.compile(r"⟦([0-9a-f]{16}) (\d+)⟧")
_NESTING = re.compile(
    r"<(/?)(?:div|span|b|i|u|em|strong|del|sub|sup|a|font|ul|ol|dl|blockquote|pre|code|table|section|article)[\s>]",
    re.IGNORECASE,
)

HTML_MAX_CHARS = 4_000_000
"""Of one message; a longer one is no message that somebody read."""
HTML_MAX_DEPTH = 200

_OPTIONS = converter.ConversionOptions(
    extract_metadata=False,
    bullets="-",
    compact_tables=True,
    autolinks=False,
    skip_images=False,
    max_depth=4 * HTML_MAX_DEPTH,  # with elements that need not be closed
)


@step
@dataclass(frozen=True)
class HtmlToMarkdown(MapStep):
    """Turn messages that are HTML into Markdown. Those without a known tag stay, and those with one in code alone too.

    Code keeps the name of its language, formulas become TeX between dollars, tables, nested lists and links stay;
    scripts, styles and buttons go. A conversation with a message that cannot be read is dropped.
    """

    name = "html_to_markdown"

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        n_changed = 0
        for message in record.all_messages():
            if not is_page(message.content):
                continue
            if len(message.content) > HTML_MAX_CHARS:
                return Dropped("message too long to be a page", f"{len(message.content)} characters")
            try:
                message.content = markdown_of(message.content)
            except (ValueError, RuntimeError, ConversionError) as exc:
                return Dropped("HTML that cannot be read", str(exc)[:80])
            n_changed += 1
        if n_changed:
            notes["message turned into Markdown"] += n_changed
            record.steps.append(self.name)
        return record


def is_page(text: str) -> bool:
    """Whether it is HTML, and not Markdown that shows some."""
    if _MARKUP.search(text) is None:
        return False
    return not ("`" in text or "~~~" in text) or _MARKUP.search(_CODE.sub("", text)) is not None


def markdown_of(html: str) -> str:
    """Raises: ValueError, RuntimeError or ConversionError, for what cannot be read."""
    if is_too_deep(html):
        raise ValueError(f"elements in over {HTML_MAX_DEPTH} others")  # the converter would leave out what is in them
    formulas = _Formulas(html) if "katex" in html.lower() else None
    if formulas or _WRAPPED.search(html):
        html = _unwrapped(html, formulas)
    text = converter.convert(html, _OPTIONS).content or ""
    return (formulas.put_back(text) if formulas else text).strip()


def is_too_deep(html: str) -> bool:
    """Whether elements that have to be closed stand in over `HTML_MAX_DEPTH` others."""
    if html.count("<") <= HTML_MAX_DEPTH:
        return False
    depth = 0
    for match in _NESTING.finditer(html):
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > HTML_MAX_DEPTH:
            return True
    return False


def _unwrapped(html: str, formulas: "_Formulas | None") -> str:
    """`formulas`: None if there are none."""
    tree = LexborHTMLParser(html)
    if formulas:
        for node in tree.css(".katex-display, .math-display, .katex, math"):
            _unwrap_formula(node, formulas)
    for node in tree.css("pre"):
        _unwrap_code(node)
    for node in tree.css("script, style, button, noscript, template"):
        node.decompose()
    body = tree.body
    return (body.inner_html if body else "") or ""


class _Formulas:
    """TeX, which the converter would change, behind marks that no page can hold by chance or on purpose."""

    def __init__(self, html: str) -> None:
        self._key = hashlib.blake2b(html.encode("utf-8", "replace"), digest_size=8).hexdigest()
        self._kept: list[str] = []

    def mark_for(self, tex: str) -> str:
        self._kept.append(tex)
        return f"⟦{self._key} {len(self._kept) - 1}⟧"

    def put_back(self, text: str) -> str:
        if not self._kept:
            return text
        # One pattern for all pages: one for each would be compiled for each, which takes longer than the page.
        return _MARK.sub(lambda match: self._kept[int(match[2])] if match[1] == self._key else match[0], text)


def _unwrap_formula(node: LexborNode, formulas: _Formulas) -> None:
    source = node.css_first('annotation[encoding="application/x-tex"]')
    if source is None or node.parent is None:
        return
    tex = source.text().strip()
    is_display = bool({"katex-display", "math-display"} & set((node.attributes.get("class") or "").split()))
    mark = formulas.mark_for(f"$${tex}$$" if is_display else f"${tex}$")
    node.replace_with(f"\n\n{mark}\n\n" if is_display else mark)


def _unwrap_code(pre: LexborNode) -> None:
    """Only the code, and its language in the one place where the converter looks for it."""
    code = pre.css_first("code")
    if code is None:
        return
    found = _LANGUAGE.search(code.attributes.get("class") or "")
    language = found[1] if found else _label_before(pre, code)
    text = code.text()
    for child in list(pre.iter(include_text=True)):
        child.decompose()
    made = LexborHTMLParser("<code></code>").css_first("code")
    assert made is not None  # noqa: S101  # it stands there
    if language:
        made.attrs["class"] = f"language-{language}"
    made.insert_child(text)
    pre.insert_child(made)


def _label_before(pre: LexborNode, code: LexborNode) -> str:
    """The language in the head of a code block: a word of its own before the button."""
    span = pre.css_first("span")
    label = span.text().strip() if span is not None and span.mem_id != code.mem_id else ""
    return label if _LABEL.fullmatch(label) else ""


BANNERS = ("too many requests in 1 hour. try again later.", "!too many requests in 1 hour. try again later.")
"""What pages of ChatGPT said instead of an answer."""


@step
@dataclass(frozen=True)
class PageRemains(MapStep):
    """Take away what pages wrote around answers: "2 / 3" at the beginning, "Copy12 chars / 3 words".

    Conversations with an answer that is one of the page's own notices are dropped: those of `banners` beside that of
    too many requests.
    """

    name = "page_remains"
    banners: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not all(banner.strip() for banner in self.banners):
            raise OptionWrong("banners: none may be empty, as every answer begins so")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        known = (*BANNERS, *(banner.casefold() for banner in self.banners))
        n_cleaned = 0
        for message in record.all_messages():
            if message.role != Role.ASSISTANT:
                continue
            text = _COPIED.sub("", _COUNTER.sub("", message.content, count=1)).strip()
            if text.casefold().startswith(known):
                return Dropped("notice instead of an answer", text[:60])
            if text != message.content:
                message.content = text
                n_cleaned += 1
        if n_cleaned:
            notes["answer cleaned of the page's words"] += n_cleaned
            record.steps.append(self.name)
        return record
