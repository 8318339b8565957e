"""What a page may ask of whoever reads it as a browser does, counted before that. Pure."""

import re

from apps.datasets.markup.elements import VOID

HTML_MAX_DEPTH = 200
"""Of elements that have to be closed, in each other: what a list or a quotation holds is indented at each level."""
HTML_MAX_OPEN = 2000
"""Elements of any name that may be open at once: before a paragraph, those open are looked through for another."""
HTML_MAX_AGAIN = 200_000
"""Elements that are made of marks which are opened again, in all blocks together; each takes half a kilobyte."""

_OPENED = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?:script|style)\b.*?(?:</(?:script|style)|\Z)|<(/?)([a-z][^\s/>]*)([^>]*)",
    re.DOTALL | re.IGNORECASE,
)
_NESTING = frozenset({
    "div", "span", "b", "i", "u", "em", "strong", "del", "sub", "sup", "a", "font", "ul", "ol", "dl", "blockquote",
    "pre", "code", "table", "section", "article",
})  # fmt: skip
"""Elements that are in each other on purpose, and change what is written."""
_ENDED_BY_OTHERS = frozenset({"p", "li", "dt", "dd", "option", "tr", "td", "th", "thead", "tbody", "tfoot", "path"})
"""Elements that pages open again and again without an end, and of pictures those that have none."""
_MARKS = frozenset({
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
})  # fmt: skip
"""Source: HTML, section 13.2.4.3, "The list of active formatting elements"."""
_CELLS = frozenset({"td", "th"})
_SCOPES = frozenset({"applet", "caption", "marquee", "object", "table"}) | _CELLS
"""Marks from without are not closed in them, and those from within end with them."""
_ALONE = frozenset({"a", "nobr"})
"""Marks of which each ends the one before."""
_ALIKE = 3
"""So many of the other marks with the same attributes are opened again."""


def is_too_much(html: str) -> bool:
    """Whether elements stand in over `HTML_MAX_DEPTH` others, over `HTML_MAX_OPEN` are open at once, or marks that are
    not closed would be opened again more than `HTML_MAX_AGAIN` times."""
    if html.count("<") <= HTML_MAX_DEPTH:
        return False
    depth = n_open = n_again = 0
    marks = _Marks()
    for slash, written, attributes in _OPENED.findall(html):
        tag = written.lower()
        if not tag:
            continue  # a comment or a script
        step = -1 if slash else 1
        if tag in _NESTING:
            depth = max(0, depth + step)
        if tag not in VOID and tag not in _ENDED_BY_OTHERS:
            n_open = max(0, n_open + step)
        if tag in _MARKS:
            marks.note(tag, None if slash else attributes)
        elif slash:
            marks.leave(tag)
        else:
            n_again += marks.n_open
            marks.enter(tag)
        is_deep = max(depth, marks.n_open) > HTML_MAX_DEPTH
        if is_deep or n_open > HTML_MAX_OPEN or n_again > HTML_MAX_AGAIN:
            return True
    return False


class _Marks:
    """Those that are open, and would be opened again in the next block if this one ended."""

    def __init__(self) -> None:
        self.n_open = 0
        self._scopes: list[tuple[str, list[tuple[str, str]]]] = [("", [])]
        """Of each the element that makes it, and the marks that were opened in it, by name and attributes."""

    def note(self, tag: str, attributes: str | None) -> None:
        """A mark is opened, or without attributes, closed."""
        _, held = self._scopes[-1]
        is_alone = tag in _ALONE
        if attributes is None:
            gone = next((mark for mark in reversed(held) if mark[0] == tag), None)
        else:
            mark = (tag, "" if is_alone else attributes)
            gone = mark if held.count(mark) == (1 if is_alone else _ALIKE) else None
            held.append(mark)
            self.n_open += 1
        if gone is not None:
            held.remove(gone)
            self.n_open -= 1

    def enter(self, tag: str) -> None:
        if tag not in _SCOPES:
            return
        if tag in _CELLS and self._scopes[-1][0] in _CELLS:
            self._leave()
        self._scopes.append((tag, []))

    def leave(self, tag: str) -> None:
        if tag == "table":
            while self._scopes[-1][0] in _CELLS:
                self._leave()
        if tag not in _SCOPES or self._scopes[-1][0] != tag:
            return
        if tag == "table":
            # What stands between its cells is put before it, and goes on behind it.
            _, held = self._scopes.pop()
            self._scopes[-1][1].extend(held)
        else:
            self._leave()

    def _leave(self) -> None:
        self.n_open -= len(self._scopes.pop()[1])
