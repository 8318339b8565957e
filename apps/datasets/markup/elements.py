"""Elements of HTML and what is written in their tags. Pure."""

import re
from html import unescape

Attributes = dict[str, str]

_ATTRIBUTE = re.compile(r"""([^\s"'=/]+)(?:\s*=\s*(?:"([^"]*)"|([^\s"']+)))?""")
_FORMULAS = {"katex", "katex-display", "math-display"}
_DISPLAYED = {"katex-display", "math-display"}
_SPAN_MAX = 20

SKIPPED = frozenset({
    "button", "svg", "select", "datalist", "audio", "video", "canvas", "object", "iframe", "progress", "meter",
    "script", "style", "noscript", "template", "noembed", "noframes", "title", "head",
})  # fmt: skip
"""Elements of which nothing is said."""
VOID = frozenset({
    "br", "hr", "img", "input", "wbr", "area", "base", "col", "embed", "link", "meta", "param", "source", "track",
})  # fmt: skip
"""Elements that hold nothing, and have no end."""


def attributes_of(text: str) -> Attributes:
    """Of what stands between a tag's name and its end. Of two of one name the first counts."""
    found: Attributes = {}
    for name, quoted, bare in _ATTRIBUTE.findall(text):
        found.setdefault(name.lower(), unescape(quoted or bare))
    return found


def is_formula(attributes: str) -> bool:
    return ("katex" in attributes or "math-display" in attributes) and bool(classes_of(attributes) & _FORMULAS)


def classes_of(attributes: str) -> set[str]:
    return set(attributes_of(attributes).get("class", "").split())


def is_displayed(attributes: str) -> bool:
    """Of a formula: whether it stands in lines of its own."""
    return bool(classes_of(attributes) & _DISPLAYED)


def number_of(written: str, otherwise: int) -> int:
    """An attribute's value from 0, with up to nine digits."""
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else otherwise


def span_of(written: str) -> int:
    """Of a cell: through how many rows or columns it reaches."""
    return max(1, min(number_of(written, 1), _SPAN_MAX))
