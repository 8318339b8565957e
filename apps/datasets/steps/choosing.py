"""Which conversations are wanted: by language, fields, place, or the part of a split."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from apps.core.languages import LANGUAGES, UNKNOWN, language_of
from apps.datasets.records import Record, Role
from apps.datasets.steps.base import ChoiceStep, Dropped, Key, MapStep, OptionWrong, Outcome, step
from apps.datasets.steps.sampling import chance


@step
@dataclass(frozen=True)
class Languages(MapStep):
    """Keep conversations in the languages of `keep`, or drop those in the languages of `skip` (codes as "ko").

    The language is written into the field "language", and what else stood there is kept in "language_as_written". It is
    "unknown" where there is too little to tell.
    """

    name = "languages"
    keep: list[str] = field(default_factory=list)
    skip: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if bool(self.keep) == bool(self.skip):
            raise OptionWrong("keep or skip: give one of them")
        if unknown := {*self.keep, *self.skip} - LANGUAGES - {UNKNOWN}:
            raise OptionWrong(f"keep, skip: {min(unknown)!r} is no language that can be told; write codes as ko or zh")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        language = language_of(record.text)
        if (written := record.fields.get("language", language)) != language:
            record.fields.setdefault("language_as_written", written)
        record.fields["language"] = language
        if (self.keep and language not in self.keep) or language in self.skip:
            return Dropped(f"language {language}")
        return record


@step
@dataclass(frozen=True)
class WithoutField(MapStep):
    """Drop records that have something in one of the fields `names`, as "plugins"."""

    name = "without_field"
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.names:
            raise OptionWrong("names: give at least one")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        for name in self.names:
            if record.fields.get(name) is not None:
                return Dropped(f"has {name}")
        return record


@step
@dataclass(frozen=True)
class Slice(ChoiceStep):
    """Keep the records from number `begin` to before `end`, counted from 0 as they arrive here (0: to the last)."""

    name = "slice"
    begin: int = 0
    end: int = 0

    def __post_init__(self) -> None:
        if self.begin < 0 or self.end < 0 or (self.end and self.end <= self.begin):
            raise OptionWrong("begin, end: not negative, and end after begin")

    def key(self, record: Record) -> Key:
        return 0

    def choose(self, keys: Iterable[Key]) -> Iterator[str | None]:
        for n, _ in enumerate(keys):
            is_in = n >= self.begin and (not self.end or n < self.end)
            yield None if is_in else "outside the slice"


@step
@dataclass(frozen=True)
class Part(MapStep):
    """Keep one part of a split into training and test: `keep` is "train" or "test", `test_share` the test's share.

    A family stays together: conversations with the same first question, and the parts of one that was split, go to the
    same part, whatever order they come in, for the same `seed`.
    """

    name = "part"
    keep: str = "train"
    test_share: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.keep not in ("train", "test") or not 0 <= self.test_share <= 1:
            raise OptionWrong("keep: train or test; test_share: from 0 to 1")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        part = "test" if chance(self.seed, family_of(record)) < self.test_share else "train"
        return record if part == self.keep else Dropped(f"in the {part} part")


def family_of(record: Record) -> str:
    """The first question without case and blanks, of the whole conversation where this is a part of one."""
    return record.family or "".join(next(record.said_by(Role.USER), "").casefold().split())
