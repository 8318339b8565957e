"""Personal data in conversations, found by the same rules as the site's gate uses."""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from apps.datasets.records import Record
from apps.datasets.steps.base import Dropped, MapStep, OptionWrong, Outcome, step
from apps.moderation.personal_data import DETECTORS, DataKind

_SECRET = "secret"  # noqa: S105  # the kind, not one
_SECRETS = re.compile(
    r"\b(?:sk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36,}|AKIA[0-9A-Z]{16}|hf_[A-Za-z0-9]{30,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----"
)
"""Keys as OpenAI, Anthropic, GitHub, Amazon, Hugging Face, Slack and Google write them, and private keys in PEM."""
_TIMEOUT_S = 2.0
KINDS = (*map(str, DataKind), _SECRET)


@step
@dataclass(frozen=True)
class PersonalData(MapStep):
    """Put "[EMAIL]" and the like in place of personal data: `kinds` of email, phone, card, iban, ip, secret.

    `drop`: drop such conversations instead.
    """

    name = "personal_data"
    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    drop: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.kinds) - set(KINDS):
            raise OptionWrong(f"kinds: {', '.join(sorted(unknown))} is not of {', '.join(KINDS)}")

    @cached_property
    def _kinds(self) -> list[DataKind]:
        return [kind for kind in DataKind if kind in self.kinds]

    def apply(self, record: Record, notes: "Counter[str]") -> Outcome:
        n_all = 0
        for message in record.all_messages():
            try:
                spans = self._spans(message.content)
            except TimeoutError:
                return Dropped("personal data cannot be looked for in time", f"{len(message.content)} characters")
            if spans and self.drop:
                return Dropped("personal data", spans[0][2])
            for start, end, kind in reversed(spans):
                message.content = f"{message.content[:start]}[{kind.upper()}]{message.content[end:]}"
                notes[f"{kind} taken out"] += 1
            n_all += len(spans)
        if n_all:
            record.steps.append(self.name)
        return record

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
