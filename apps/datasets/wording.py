"""A text as words, for comparing texts, and where there is code in it. Pure."""

import re

ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese letters: no blanks stand between the words of those languages."""
_WORDS = re.compile(rf"[{ALONE}]|[^\W{ALONE}]+")
_PIECES = re.compile(rf"[{ALONE}]|[^\s{ALONE}]+")

FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
"""Code in Markdown, with its fences; one that is not closed goes to the end."""


def words_of(text: str) -> list[str]:
    """Its words in order, without case and punctuation. A letter of a language without blanks is a word of its own."""
    return _WORDS.findall(text.casefold())


def pieces_of(text: str) -> list[str]:
    """What stands between blanks, as it is. A letter of a language without blanks is a piece of its own."""
    return _PIECES.findall(text)
