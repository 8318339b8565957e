"""Messages as HTML, kept by their texts: a chat is opened, reloaded and walked through more often than it is written.

Of each process, bounded by the length of what is kept; a text that is changed is another one. Pure otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from threading import Lock

from apps.conversations.markdown.rendering import render_user
from apps.conversations.markdown.thoughts import render

KEPT_MAX_CHARS = 16_000_000
"""About 10,000 messages as most are; Python keeps a character in one to four bytes."""


class KeptHtml:
    """The texts that were asked for last. Safe to use from several threads."""

    def __init__(self, render: Callable[[str], str], max_chars: int = KEPT_MAX_CHARS) -> None:
        self._render = render
        self._max_chars = max_chars
        self._pages: OrderedDict[bytes, str] = OrderedDict()
        self._lock = Lock()
        self.n_chars = 0

    def __call__(self, text: str) -> str:
        key = sha256(text.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            if (found := self._pages.get(key)) is not None:
                self._pages.move_to_end(key)
                return found
        html = self._render(text)
        with self._lock:
            if key not in self._pages and len(html) <= self._max_chars:
                self._pages[key] = html
                self.n_chars += len(html)
            while self.n_chars > self._max_chars:
                _, oldest = self._pages.popitem(last=False)
                self.n_chars -= len(oldest)
        return html


answer_html = KeptHtml(render)
question_html = KeptHtml(render_user, KEPT_MAX_CHARS // 4)
