"""Words of a provider without the key that the site sent it, also where they quote only a part of it. Pure."""

import json
import re

MARK = "[key]"
MIN_PART = 8
"""Characters of a key that say too much of it. Vendors' own beginnings, such as `sk-proj-`, are that long."""

_PIECES = re.compile(r"[^\s\"'`,;:()<>\[\]{}=&?/|]+")
_GAP = re.compile(r"[*\u2022\u2026]+|\.{2,}")
"""What stands for the characters that are left out."""


def without_key(words: str, key: str) -> str:
    """`words` with a mark in place of the key, of a long part of it, and of its ends with a gap between them."""
    if not key:
        return words
    for form in (key, json.dumps(key)[1:-1]):
        words = words.replace(form, MARK)
    return _PIECES.sub(lambda found: MARK if _tells(found[0], key) else found[0], words)


def _tells(piece: str, key: str) -> bool:
    if (gap := _GAP.search(piece)) is None:
        return len(piece.strip(".")) >= MIN_PART and piece.strip(".") in key
    head, tail = piece[: gap.start()], piece[gap.end() :].rstrip(".")
    return bool(head or tail) and key.startswith(head) and key.endswith(tail)
