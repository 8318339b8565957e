"""Where contestants stand on their arena's newest board, which is told with their names.

Boards are made by an app above this one. It says here how to ask for them; until it does, nobody stands anywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one contestant."""

    rank: int
    rating: float
    url: str
    """Of the board."""


Source = Callable[[Sequence[int]], Mapping[int, Standing]]
"""From keys of contestants to those of them that have a rating."""

_sources: list[Source] = []


def source_register(source: Source) -> None:
    """Called once, when the site starts."""
    _sources[:] = [source]


def standings_of(contestant_pks: Sequence[int]) -> Mapping[int, Standing]:
    return {pk: standing for source in _sources for pk, standing in source(contestant_pks).items()}
