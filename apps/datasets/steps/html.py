"""Pages of chats, as they were scraped, to Markdown.

After it, what is left of their buttons and counters is taken away.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from apps.datasets.markup.reading import markdown_of
from apps.datasets.records import Record, Role
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.datasets.wording import FENCED

_MARKUP = re.compile(
    r"</(?:p|div|span|pre|code|ul|ol|li|table|h[1-6]|blockquote|strong|em|b|i|a|td|math)\s*>|<br\s*/?>|<p>|<div[\s>]",
    re.IGNORECASE,
)
_CODE = re.compile(rf"{FENCED.pattern}|`[^`\n]+`", FENCED.flags)
"""Of Markdown: what stands there is shown, and makes no page of the message around it."""
_COUNTER = re.compile(r"\A\s*\d{1,3} / \d{1,3}(?:\s+|\Z)")
_COPIED = re.compile(r"Copy\d+ chars / \d+ words")

HTML_MAX_CHARS = 4_000_000
"""Of one message; a longer one is no message that somebody read."""


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
            except ValueError as exc:
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
