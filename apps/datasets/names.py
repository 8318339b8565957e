"""How datasets and their versions are named: `NAME` is the newest version, `NAME@3` the third, `NAME@3/train` a set of
it. Pure."""

import re
from dataclasses import dataclass

from apps.datasets.errors import NameWrong

NAME_MAX_CHARS = 100
LICENCE_MAX_CHARS = 200
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_REFERENCE = re.compile(r"(?P<name>[^@/]+)(@(?P<number>[1-9][0-9]{0,8}))?(/(?P<set>.+))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """`number` None: the newest version. `set_name` None: all of it."""

    name: str
    number: int | None = None
    set_name: str | None = None


def name_check(name: str) -> str:
    """Of a dataset or a set. Raises: NameWrong."""
    if not _NAME.fullmatch(name):
        raise NameWrong(
            name=name[:60],
            reason=f"write at most {NAME_MAX_CHARS} letters (a to z), digits, - and _, and no - at the beginning",
        )
    return name


def reference_read(text: str) -> Reference:
    """Raises: NameWrong."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise NameWrong(name=text[:60], reason="write NAME, NAME@NUMBER or NAME@NUMBER/SET")
    number = found["number"]
    return Reference(name_check(found["name"]), int(number) if number else None, found["set"])
