"""Which texts can be kept. Pure."""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Drop NUL bytes, which Postgres cannot store, and replace lone surrogates, which UTF-8 cannot spell."""
    if not _UNSTORABLE.search(text):
        return text
    return _UNSTORABLE.sub(lambda match: "" if match[0] == "\0" else "\N{REPLACEMENT CHARACTER}", text)
