"""What surfaces keep of the texts that incidents are about. Moderation itself keeps none.

An app that keeps texts says so when it starts; moderation asks it, and knows nothing of how they are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.moderation.choices import Surface

FOUND_SOMETHING = "a rule or classifier found something in it"
"""Why moderators open what is kept, in words for whoever it belongs to."""

TakenOut = Callable[[list[str]], list[str]]
"""The texts of one thing, such as the title and the system prompt of a chat, without what is to go."""


@dataclass(frozen=True, slots=True)
class Line:
    """One text of a context. `is_subject`: the one that the incident is about; `images`: of that one, as data URLs."""

    speaker: str
    text: str
    is_subject: bool = False
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept: where, in words, and the texts up to the one in question."""

    where: str
    lines: list[Line]


class Keeper(Protocol):
    """One surface's. `reference` is the incident's, and so is `author`: nothing of anybody else's is touched, since a
    program may choose by which id its requests are found."""

    def open(self, reference: str, *, author: Actor, reader: User) -> Kept | None:
        """Read it for a moderator, and leave a trace of that. None if nothing is kept."""

    def redact(self, reference: str, *, author: Actor, taken_out: TakenOut) -> bool:
        """Put what `taken_out` makes of the texts in their place, for good. False if nothing is kept."""


keepers: dict[Surface, Keeper] = {}
"""Filled when the apps start."""
