"""Images in what a person wrote: a mark with words for who cannot see it, and the id of the stored image.

    ![a cat on a chair](image:5f0c2a1e-...)

The page writes them so (static/js/lib/images.js): so they are kept as a draft, edited, forked and sent like what was
typed. What a mark leads to is asked for its owner alone. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from apps.moderation.actions import REMOVED

# Something may have been taken out of its words.
_WORDS = rf"(?:[^\[\]\n]|{re.escape(REMOVED)}){{0,500}}"
_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_MARK = re.compile(rf"!\[({_WORDS})\]\(image:({_ID})\)")


@dataclass(frozen=True, slots=True)
class ImageMark:
    """`words`: for who cannot see it."""

    words: str
    id: UUID


def parts_of(text: str) -> Iterator[str | ImageMark]:
    """What was written and the images in it, in order. White space alone is not written."""
    end = 0
    for found in _MARK.finditer(text):
        if (written := text[end : found.start()]).strip():
            yield written
        yield ImageMark(found[1].strip(), UUID(found[2]))
        end = found.end()
    if (written := text[end:]).strip():
        yield written


def marked_ids(text: str) -> list[UUID]:
    """In their order, as often as each is marked."""
    return [part.id for part in parts_of(text) if isinstance(part, ImageMark)]


def image_ids(text: str) -> list[UUID]:
    """In their order, each once."""
    return list(dict.fromkeys(marked_ids(text)))


def with_ids(text: str, new: dict[UUID, UUID]) -> str:
    """The text with other images behind its marks; those that are not in `new` stay."""
    return _MARK.sub(lambda found: f"![{found[1]}](image:{new.get(UUID(found[2]), found[2])})", text)


def without(text: str, gone: UUID, instead: str) -> str:
    """The text with something else in the place of the marks of one image."""
    return _MARK.sub(lambda found: instead if UUID(found[2]) == gone else found[0], text)


def in_words(text: str) -> str:
    """The text with the words of its images instead of them."""
    return _MARK.sub(lambda found: found[1].strip() or "Image", text)
