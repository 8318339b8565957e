"""The life of a request in lines with times. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a request."""

    at: datetime
    words: str


def lines(moments: Sequence[Moment]) -> list[str]:
    """One line per moment, in the order of time, with the seconds since the first."""
    ordered = sorted(moments, key=lambda moment: moment.at)
    return [f"{(m.at - ordered[0].at).total_seconds():9.3f} s  {m.at:%Y-%m-%d %H:%M:%S}  {m.words}" for m in ordered]
