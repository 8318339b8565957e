"""What a step is, and the registry of those that a recipe may name.

A step is a frozen dataclass whose fields are its options in a recipe. There are three kinds. A `MapStep` looks at one
record alone, so that records are worked on in any number of processes. A `ChoiceStep` keeps or drops a record because
of others: each record says a small key in the same processes, and only the keys are looked at together, in order. An
`AddStep` makes records.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from apps.datasets.records import Record


@dataclass(frozen=True, slots=True)
class Dropped:
    """The record goes no further. `reason` is one of few, to be counted; `detail` is for an example."""

    reason: str
    detail: str = ""


Key = Any
"""What a `ChoiceStep` needs to know of a record: of JSON, and small."""

Outcome = Record | list[Record] | Dropped


class Step:
    """What every step has. The first paragraph of its docstring is its help."""

    name: ClassVar[str]

    def files(self) -> tuple[Path, ...]:
        """What it reads besides records. A run that was broken off goes on only while they are the same."""
        return ()


class MapStep(Step, ABC):
    @abstractmethod
    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        """The record, changed in place and marked with `changed`, or several made of it, or why it is dropped.

        `notes` counts what was done to records that stay.
        """


class ChoiceStep(Step, ABC):
    @abstractmethod
    def key(self, record: Record) -> Key: ...

    def keys(self, records: Iterable[Record]) -> Iterator[Key]:
        """Of each record its `key`, in order. A step that is faster with many at once says them here."""
        return map(self.key, records)

    @abstractmethod
    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        """For each key in order why its record is dropped, or None. May read all keys before the first answer."""


class AddStep(Step, ABC):
    @abstractmethod
    def added(self) -> Iterator[Record]:
        """Records that come after those that are there. Their source is file -1."""


REGISTRY: dict[str, type[Step]] = {}
StepT = TypeVar("StepT", bound=type[Step])


def step(kind: StepT) -> StepT:
    """Register under `name`. Two of one name are a mistake in the code."""
    if kind.name in REGISTRY:
        raise ValueError(f"two steps are named {kind.name}")
    REGISTRY[kind.name] = kind
    return kind


class OptionWrong(ValueError):
    """An option's value cannot be used; says why. Raised by a step's `__post_init__`."""
