"""What happened to the rows: for each step how many came, went on and were dropped, why, and what was changed. Pure.

Nothing is unaccounted: `n_in + n_made == n_out + dropped`, for each step.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

EXAMPLES_MAX = 3
"""Of each reason."""


@dataclass(slots=True)
class StepReport:
    """`n_made`: rows more than came, as when a conversation is split or a step adds some."""

    name: str
    n_in: int = 0
    n_out: int = 0
    n_made: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, reason: str, example: str) -> None:
        self.dropped[reason] += 1
        kept = self.examples.setdefault(reason, [])
        if len(kept) < EXAMPLES_MAX:
            kept.append(example)

    def add(self, other: "StepReport") -> None:
        """What another part of the rows had. The parts' order decides which examples stay."""
        self.n_in += other.n_in
        self.n_out += other.n_out
        self.n_made += other.n_made
        self.dropped += other.dropped
        self.notes += other.notes
        for reason, examples in other.examples.items():
            kept = self.examples.setdefault(reason, [])
            kept += examples[: EXAMPLES_MAX - len(kept)]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "n_in": self.n_in,
            "n_out": self.n_out,
            "n_made": self.n_made,
            "dropped": dict(sorted(self.dropped.items())),
            "notes": dict(sorted(self.notes.items())),
            "examples": dict(sorted(self.examples.items())),
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> "StepReport":
        return cls(**{**told, "dropped": Counter(told["dropped"]), "notes": Counter(told["notes"])})


def report_text(reports: list[StepReport]) -> str:
    """A table for people."""
    lines = []
    for one in reports:
        lines.append(f"{one.name:<20} {one.n_in:>10} in {one.n_out:>10} out")
        for reason, count in one.dropped.most_common():
            shown = "; ".join(one.examples.get(reason, [])[:1])
            lines.append(f"{'':<20} {count:>10} dropped: {reason}{f'  ({shown})' if shown else ''}")
        lines += [f"{'':<20} {count:>10} {what}" for what, count in one.notes.most_common()]
    return "\n".join(lines) + "\n"
