"""Personal data in conversations, found by the same rules as the site's gate uses."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from apps.datasets.records import Record
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


@step
@dataclass(frozen=True)
class PersonalData(MapStep):
    """Put "[EMAIL]" and the like in place of personal data: `kinds` of email, phone, card, iban, ip, secret.

    It is looked for in all texts: of messages, of what tools are called with, and of the fields beside them. Ids and
    the names of fields stay.

    `drop`: drop such conversations instead.
    """

    name = "personal_data"
    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    drop: bool = False

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise OptionWrong(f"kinds: give at least one, and only of {', '.join(KINDS)}")

    @cached_property
    def _kinds(self) -> list[DataKind]:
        return [kind for kind in DataKind if kind in self.kinds]

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        taken: Counter[str] = Counter()
        try:
            for message in record.all_messages():
                message.content = self._without(message.content, taken)
                message.extra = self._without(message.extra, taken)
            record.fields = self._without(record.fields, taken)
        except TimeoutError:
            return Dropped("personal data cannot be looked for in time", f"{len(record.text)} characters")
        if taken and self.drop:
            return Dropped("personal data", min(taken))
        notes.update({f"{kind} taken out": count for kind, count in taken.items()})
        if taken:
            record.steps.append(self.name)
        return record

    def _without(self, value: Any, taken: "Counter[str]") -> Any:
        """Of JSON, as it came where there is nothing to take out. Raises: TimeoutError."""
        match value:
            case str():
                return self._masked(value, taken)
            case dict():
                return {name: self._without(field, taken) for name, field in value.items()}
            case list():
                return [self._without(item, taken) for item in value]
        return value

    def _masked(self, text: str, taken: "Counter[str]") -> str:
        parts, at = [], 0
        for start, end, kind in self._spans(text):
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
