"""How a conversation gets its title.

Pure: no Django, no models. What may be stored at all is said by `apps.core.texts`.
"""

from apps.conversations.image_marks import in_words

TITLE_CHARS = 80


def title_from(text: str) -> str:
    """The first line of a message that has words, cut at a word to `TITLE_CHARS`."""
    text = in_words(text)
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = " ".join(line.split())
    if len(line) <= TITLE_CHARS:
        return line
    at_word = line[:TITLE_CHARS].rpartition(" ")[0]
    # A text without spaces (Chinese, a long link) is cut in the middle rather than to nothing.
    return (at_word if len(at_word) >= TITLE_CHARS // 2 else line[: TITLE_CHARS - 1]) + "…"
