"""Which names of files fit a pattern of a dataset's card, as the library's glob has it. Pure.

What a pattern costs grows with the parts of a name, and not with what the pattern says: it comes from whoever made the
dataset.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

_ALL = "**"


def glob_parts(parts: Sequence[str]) -> list[str]:
    """A pattern's parts for `glob_fits`: many `**` in a row are as one."""
    return [part for part, before in zip(parts, ["", *parts], strict=False) if (before, part) != (_ALL, _ALL)]


def glob_fits(pattern: Sequence[str], name: Sequence[str]) -> bool:
    """`*` stays in a folder, `**` goes through all, what is hidden must be named."""
    places = {*_at(pattern, 0)}
    for number, part in enumerate(name):
        is_file = number == len(name) - 1
        places = {later for place in places for later in _after(pattern, place, part, is_file)}
    return len(pattern) in places


def _at(pattern: Sequence[str], place: int) -> Iterator[int]:
    """Also where one is without another part of the name: `**` may stand for no folder, but not for no file."""
    yield place
    if pattern[place : place + 1] == [_ALL] and place + 1 < len(pattern):
        yield place + 1


def _after(pattern: Sequence[str], place: int, part: str, is_file: bool) -> Iterator[int]:
    """Where in the pattern one is after this part of the name."""
    if place == len(pattern):
        return
    wanted = pattern[place]
    if wanted != _ALL:
        if fnmatchcase(part, wanted) and (wanted.startswith(".") or not part.startswith(".")):
            yield from _at(pattern, place + 1)
    elif is_file and place == len(pattern) - 1:
        if not part.startswith("."):
            yield place + 1
    elif not part.startswith((".", "__")):
        yield from _at(pattern, place)
