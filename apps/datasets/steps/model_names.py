"""Whose answers they are: models are known however their names are spelled."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from apps.datasets.records import Record
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step


@step
@dataclass(frozen=True)
class KeepModels(MapStep):
    """Keep answers of the models of `names`, however they are spelled: "gpt-4" is also GPT4 and gpt_4.

    `unknown`: also those that name no model.
    """

    name = "keep_models"
    names: list[str] = field(default_factory=list)
    unknown: bool = False

    def __post_init__(self) -> None:
        if not self.names or not all(map(spelled, self.names)):
            raise OptionWrong("names: give at least one, and each a letter or a digit")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        if not record.model:
            return record if self.unknown else Dropped("no model is named")
        if spelled(record.model) not in {spelled(name) for name in self.names}:
            return Dropped("other model", record.model[:60])
        return record


@step
@dataclass(frozen=True)
class DropModels(MapStep):
    """Drop answers of the models of `names`, however they are spelled. Those that name no model stay."""

    name = "drop_models"
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.names or not all(map(spelled, self.names)):
            raise OptionWrong("names: give at least one, and each a letter or a digit")

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        if record.model and spelled(record.model) in {spelled(name) for name in self.names}:
            return Dropped("a model that is left out", record.model[:60])
        return record


@step
@dataclass(frozen=True)
class ModelNames(MapStep):
    """Write the names of models in one way: each that is spelled as one of `names` ("GPT4" as "gpt-4"), and each of
    `aliases` ("default": "gpt-3.5-turbo"), however those are spelled.

    The name that stood there is kept in the field "model_as_written". Other names stay, and are counted.
    """

    name = "model_names"
    names: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names and not self.aliases:
            raise OptionWrong("names or aliases: give at least one")
        if not all(map(spelled, (*self.names, *self.aliases, *self.aliases.values()))):
            raise OptionWrong("names, aliases: each needs a letter or a digit")
        if len({spelled(name) for name in self.names}) < len(self.names):
            raise OptionWrong("names: two of them are spelled alike")
        renamed_again = {spelled(name) for name in self.aliases.values()} & {spelled(name) for name in self.aliases}
        if renamed_again:
            raise OptionWrong(f"aliases: {sorted(renamed_again)[0]!r} is the name for one, and has another itself")

    @cached_property
    def _known(self) -> dict[str, str]:
        told = {spelled(name): name for name in (*self.aliases.values(), *self.names)}
        return told | {spelled(name): told[spelled(other)] for name, other in self.aliases.items()}

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        if not record.model:
            return record
        name = self._known.get(spelled(record.model))
        if name is None:
            notes["other model's name left as it is"] += 1
        elif name != record.model:
            notes[f"named {name}"] += 1
            record.fields.setdefault("model_as_written", record.model)
            record.model = name
            record.steps.append(self.name)
        return record


def spelled(name: str) -> str:
    """A model's name without what people write differently."""
    return "".join(filter(str.isalnum, name.casefold()))
