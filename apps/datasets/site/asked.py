"""What of the site is to be read. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from apps.datasets.formats.shapes import Shape

PREFIX = "site:"


class What(StrEnum):
    """As the command line names it, and as rows name where they come from."""

    CHATS = "site:chats"
    BATTLES = "site:battles"


def is_of_site(file: str) -> bool:
    """Whether a row that says so in `source` was made of what people wrote; a merge puts a version's name before it."""
    return file.endswith(tuple(What))


SHAPES: dict[What, tuple[Shape, ...]] = {
    What.CHATS: (Shape.MESSAGES,),
    What.BATTLES: (Shape.FASTCHAT_BATTLE, Shape.PREFERENCE),
}
"""In which each can be had, the usual one first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`since`, `until`: when a chat or battle was begun, the second not included. `model`: which wrote all answers, or
    took part."""

    what: What
    shape: Shape
    since: datetime | None = None
    until: datetime | None = None
    model: str = ""
    arena: str = ""

    @property
    def told(self) -> dict[str, str]:
        """What was chosen, for reports."""
        times = {"since": self.since, "until": self.until}
        chosen = {name: time.isoformat() for name, time in times.items() if time is not None}
        return chosen | {name: said for name, said in (("model", self.model), ("arena", self.arena)) if said}


class Why(StrEnum):
    """Why something is left out."""

    NO_CONSENT = "no consent in force"
    GONE = "deleted"
    TAKEN_OUT = "moderators took something out"
    LOOKED_AT = "moderators still look at it"
    IMPORTED = "brought in a file"
    IMAGES = "with images"
    NOT_WHOLE = "no whole answer"
    TOO_LONG = "too long"
    OTHER_MODEL = "another model"
    NO_VOTE = "no vote"
    NOT_COUNTED = "the vote does not count"
    TIE = "neither answer is better"


UNUSABLE = f"{Why.NO_CONSENT}, {Why.GONE}, or {Why.TAKEN_OUT} or look at it"
"""The same of rows that are in versions, in one word for all."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a record was made of: by this it is found out whether it may still be used."""

    conversations: tuple[str, ...]
    """Public ids: of a chat, or of the two sides of a battle, A first."""
    messages: tuple[int, ...]
    battle: str = ""

    def names(self) -> Iterator[str]:
        """By which an incident may be about it, but for those of its messages."""
        yield from self.conversations
        if self.battle:
            yield self.battle


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it is to be written, with where it comes from."""

    value: dict[str, object]
    origin: Origin
