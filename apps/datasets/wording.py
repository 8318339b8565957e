"""A text as words, for comparing texts. Pure."""

import re

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese letters: no blanks stand between the words of those languages."""
_WORDS = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")


def words_of(text: str) -> list[str]:
    """Its words in order, without case and punctuation. A letter of a language without blanks is a word of its own."""
    return _WORDS.findall(text.casefold())
