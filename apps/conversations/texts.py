"""Plain rules for the texts of a conversation: what may be stored, and how a conversation gets its title.

Pure: no Django, no models. It renders nothing; that is the business of `markdown`.
"""

import re

TITLE_CHARS = 80

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Drop NUL bytes, which Postgres cannot store, and replace lone surrogates, which UTF-8 cannot spell."""
    if not _UNSTORABLE.search(text):
        return text
    return _UNSTORABLE.sub(lambda match: "" if match[0] == "\0" else "\N{REPLACEMENT CHARACTER}", text)


def title_from(text: str) -> str:
    """The first line of a message that has words, cut at a word to `TITLE_CHARS`."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = " ".join(line.split())
    if len(line) <= TITLE_CHARS:
        return line
    at_word = line[:TITLE_CHARS].rpartition(" ")[0]
    # A text without spaces (Chinese, a long link) is cut in the middle rather than to nothing.
    return (at_word if len(at_word) >= TITLE_CHARS // 2 else line[: TITLE_CHARS - 1]) + "…"
