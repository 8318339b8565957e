"""The two sides of a battle, which are rows of their own on their way through a recipe, and are released together.

A row is a side if its fields name the battle's two models and its id ends with the side's letter, as the reader of
clean battles writes it. Other rows are none of these steps' business.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apps.datasets.records import Record
from apps.datasets.steps.base import ChoiceStep, Key, OptionWrong, step
from apps.datasets.steps.duplicates import digest_of
from apps.datasets.steps.sampling import chance, drawn_of

_SIDE = re.compile(r"(?P<battle>.+)_(?P<side>[ab])(?:_\d+)?", re.DOTALL)
"""With the number of a part, if it was split."""


@step
@dataclass(frozen=True)
class WholeBattles(ChoiceStep):
    """Drop a side of a battle if nothing is left of the other side, so that a battle stays whole or goes whole.

    Rows that are no side of a battle stay.
    """

    name = "whole_battles"

    def key(self, record: Record) -> Key:
        side = side_of(record)
        return None if side is None else [digest_of(*map(str, record.source), side[0]), side[1]]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        here = list(keys)
        sides: defaultdict[int, set[str]] = defaultdict(set)
        for key in here:
            if key is not None:
                sides[key[0]].add(key[1])
        for key in here:
            yield None if key is None or len(sides[key[0]]) == 2 else "the other side of the battle is not there"


@step
@dataclass(frozen=True)
class SampleBattles(ChoiceStep):
    """Keep `n` battles by chance, each with both sides, the same ones for the same `seed`. A row that is no side of a
    battle is drawn as if it were one.
    """

    name = "sample_battles"
    n: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise OptionWrong("n: at least 1")

    def key(self, record: Record) -> Key:
        side = side_of(record)
        of = (*map(str, record.source), record.id if side is None else side[0])
        return [chance(self.seed, *of), digest_of(*of)]

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        here = list(keys)
        battles = {battle: drawn for drawn, battle in here}
        kept = drawn_of([[(drawn, battle) for battle, drawn in battles.items()]], self.n)
        for _, battle in here:
            yield None if battle in kept else "not drawn"


def side_of(record: Record) -> tuple[str, str] | None:
    """The battle's id and the letter of the side."""
    if not all(isinstance(record.fields.get(name), str) for name in ("model_a", "model_b")):
        return None
    found = _SIDE.fullmatch(record.id)
    return (found["battle"], found["side"]) if found else None
