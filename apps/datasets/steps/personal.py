"""Personal data in conversations, found by the same rules as the site's gate uses."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from apps.datasets.annotators import is_model, model_files, name_finder_of
from apps.datasets.records import Record, texts_in
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.moderation.personal_data import DETECTORS, DataKind

_SECRET = "secret"  # noqa: S105  # the kind, not one
_SECRETS = re.compile(
    r"\b(?:sk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36,}|AKIA[0-9A-Z]{16}|hf_[A-Za-z0-9]{30,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35})"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
    r"(?:(?:[^-]++|-(?!----))*+-----END [A-Z ]{0,40}PRIVATE KEY-----|(?:\s*+[A-Za-z0-9+/=]{16,}+)*+)"
)
"""Keys as OpenAI, Anthropic, GitHub, Amazon, Hugging Face, Slack and Google write them, and private keys in PEM, also
those that are cut off. In linear time."""
_TIMEOUT_S = 2.0
KINDS = (*map(str, DataKind), _SECRET)


_NAME = "name"
_MARKS = re.compile(rf"\[({'|'.join((*KINDS, _NAME)).upper()})\]")
"""What stands in place of personal data, which no name is found in again."""
Names = dict[str, list[tuple[int, int]]]
"""Where names stand in texts."""


@step
@dataclass(frozen=True)
class PersonalData(MapStep):
    """Put "[EMAIL]" and the like in place of personal data: `kinds` of email, phone, card, iban, ip, secret.

    It is looked for in all texts: of messages, of what tools are called with, and of the fields beside them. Ids and
    the names of fields stay.

    `drop`: drop such conversations instead. `names`: a model folder; then names of people that this
    token-classification model finds become "[NAME]".
    """

    name = "personal_data"
    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    drop: bool = False
    names: str = ""

    def __post_init__(self) -> None:
        if self.names and not is_model(self.names):
            raise OptionWrong(f"names: {self.names!r} is no model folder with a config.json")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise OptionWrong(f"kinds: give at least one, and only of {', '.join(KINDS)}")

    def files(self) -> tuple[Path, ...]:
        return self._model_files if self.names else ()

    @cached_property
    def _model_files(self) -> tuple[Path, ...]:
        return model_files(self.names)

    @cached_property
    def _kinds(self) -> list[DataKind]:
        return [kind for kind in DataKind if kind in self.kinds]

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        taken: Counter[str] = Counter()
        names = self._names(record) if self.names else {}
        try:
            for message in record.all_messages():
                message.content = self._without(message.content, taken, names)
                message.extra = self._without(message.extra, taken, names)
            record.fields = self._without(record.fields, taken, names)
        except TimeoutError:
            return Dropped("personal data cannot be looked for in time", f"{len(record.text)} characters")
        if taken and self.drop:
            return Dropped("personal data", min(taken))
        notes.update({f"{kind} taken out": count for kind, count in taken.items()})
        if taken:
            record.steps.append(self.name)
        return record

    def _names(self, record: Record) -> "Names":
        """Asked once for all texts of a record. Raises: RecipeWrong: the model cannot be used."""
        kept = [record.fields, *([message.content, message.extra] for message in record.all_messages())]
        texts = list(dict.fromkeys(text for text in texts_in(kept) if text.strip()))
        if not texts:
            return {}
        return dict(zip(texts, name_finder_of(self.names, self._model_files).spans(texts), strict=True))

    def _without(self, value: Any, taken: "Counter[str]", names: "Names") -> Any:
        """Of JSON, as it came where there is nothing to take out. Raises: TimeoutError."""
        match value:
            case str():
                return self._masked(value, taken, names.get(value, []))
            case dict():
                return {name: self._without(field, taken, names) for name, field in value.items()}
            case list():
                return [self._without(item, taken, names) for item in value]
        return value

    def _masked(self, text: str, taken: "Counter[str]", names: list[tuple[int, int]]) -> str:
        parts, at = [], 0
        spans = self._spans(text)
        for start, end, kind in sorted([*spans, *names_besides(text, names, spans)]):
            parts += [text[at:start], f"[{kind.upper()}]"]
            at = end
            taken[kind] += 1
        return "".join([*parts, text[at:]])

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """In order, without overlaps: of two that overlap, the one that begins first."""
        found = [
            (start, end, str(kind))
            for kind in self._kinds
            for start, end in DETECTORS[kind].spans(text, 0, len(text), timeout_s=_TIMEOUT_S)
        ]
        if _SECRET in self.kinds:
            found += [(match.start(), match.end(), _SECRET) for match in _SECRETS.finditer(text)]
        kept: list[tuple[int, int, str]] = []
        for span in sorted(found):
            if not kept or span[0] >= kept[-1][1]:
                kept.append(span)
        return kept


def names_besides(
    text: str, names: Iterable[tuple[int, int]], others: Iterable[tuple[int, int, str]]
) -> list[tuple[int, int, str]]:
    """Names without what is taken out anyway, as an address in which a name stands: the pieces that hold a letter."""
    taken = sorted([*((start, end) for start, end, _ in others), *(mark.span() for mark in _MARKS.finditer(text))])
    pieces = []
    for begin, end in names:
        for start, stop in taken:
            if stop > begin and start < end:
                pieces.append((begin, start))
                begin = stop  # noqa: PLW2901  # the rest of it
        pieces.append((begin, end))
    return [_trimmed(text, *piece) for piece in pieces if any(letter.isalnum() for letter in text[slice(*piece)])]


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int, str]:
    piece = text[begin:end]
    return begin + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip()), _NAME
