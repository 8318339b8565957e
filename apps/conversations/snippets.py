"""The place in a text where words were found, with a little around it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

BEFORE_CHARS = 40
AFTER_CHARS = 100


@dataclass(frozen=True, slots=True)
class Snippet:
    before: str
    found: str
    after: str


def snippet_of(text: str, words: Sequence[str]) -> Snippet:
    """Around the first of the words that is there; the beginning, if none is: they may be spelled otherwise there."""
    pattern = "|".join(re.escape(word) for word in words)
    match = re.search(rf"\b(?:{pattern})", text, re.IGNORECASE) or re.search(pattern, text, re.IGNORECASE)
    start, end = match.span() if match else (0, 0)
    before, after = text[max(0, start - BEFORE_CHARS) : start], text[end : end + AFTER_CHARS]
    return Snippet(
        before=("…" if start > BEFORE_CHARS else "") + _one_line(before),
        found=_one_line(text[start:end]),
        after=_one_line(after) + ("…" if end + AFTER_CHARS < len(text) else ""),
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
