"""Conversations that are dropped for how they are written: loops, runs of digits, lists that begin again."""

import re
from collections import Counter
from dataclasses import dataclass

from apps.datasets.records import Record, Role
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.datasets.wording import FENCED, pieces_of

_LISTED = re.compile(r"^([ \t]*)(\d{1,9})[.)][ \t]", re.MULTILINE)


@step
@dataclass(frozen=True)
class DigitRuns(MapStep):
    """Drop conversations with the same digit `times` times in a row or more."""

    name = "digit_runs"
    times: int = 9

    def __post_init__(self) -> None:
        if self.times < 2:
            raise OptionWrong("times: at least 2")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for message in record.all_messages():
            if found := re.search(rf"(\d)\1{{{self.times - 1}}}", message.content):
                return Dropped("run of one digit", found[0][:40])
        return record


@step
@dataclass(frozen=True)
class Loops(MapStep):
    """Drop conversations in which an answer says the same over and over, as models do that cannot stop.

    `share`: of an answer's words that stand in a run of words which was there before, from 0 to 1. `n_words`: how long
    such a run is. Answers of fewer than `min_words` words are not looked at. In languages without blanks a letter
    counts as a word.
    """

    name = "loops"
    share: float = 0.5
    n_words: int = 8
    min_words: int = 60

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.n_words < 2:
            raise OptionWrong("share: over 0, at most 1; n_words: at least 2")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for answer in record.said_by(Role.ASSISTANT):
            words = pieces_of(answer)
            if len(words) >= self.min_words and (found := repeated_share(words, self.n_words)) >= self.share:
                return Dropped("loop", f"{found:.0%} repeated")
        return record


def repeated_share(words: list[str], n_words: int) -> float:
    """The share of words in runs of `n_words` that were there before. Linear in the number of words."""
    seen: set[tuple[str, ...]] = set()
    n_repeated = covered_to = 0
    for at in range(len(words) - n_words + 1):
        run = tuple(words[at : at + n_words])
        if run in seen:
            n_repeated += at + n_words - max(at, covered_to)
            covered_to = at + n_words
        seen.add(run)
    return n_repeated / max(1, len(words))


@step
@dataclass(frozen=True)
class RestartingLists(MapStep):
    """Drop conversations in which a numbered list begins again: a "1." that is followed, in its list, by another "1.".

    What stands in fenced code is not looked at.
    """

    name = "restarting_lists"

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for message in record.all_messages():
            if restarts(message.content):
                return Dropped("list begins again")
        return record


def restarts(text: str) -> bool:
    if "1." not in text and "1)" not in text:
        return False
    last: dict[int, int] = {}
    for match in _LISTED.finditer(FENCED.sub("", text)):
        indent, number = len(match[1].expandtabs(4)), int(match[2])
        # A list further in ends with the item in which it stands.
        last = {deeper: one for deeper, one in last.items() if deeper <= indent}
        if number == 1 and last.get(indent) == 1:
            return True
        last[indent] = number
    return False
