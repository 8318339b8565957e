"""The data card of a dataset, in Markdown. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

_SHOWN = 20
"""Languages and models, those with the most conversations."""


def card(name: str, made: Iterable[str], sets: Mapping[str, Mapping[str, Any]]) -> str:
    """`made`: lines that say of what it was made. `sets`: counts and hashes by name, as `Written.as_dict` has them."""
    lines = [f"# {name}", "", *made, ""]
    lines += ["| set | conversations | messages | characters | SHA-256 |", "|---|---:|---:|---:|---|"]
    lines += [
        f"| {set_name} | {told['n_conversations']} | {told['n_messages']} | {told['n_chars']} | `{told['sha256']}` |"
        for set_name, told in sets.items()
    ]
    for set_name, told in sets.items():
        lines += ["", f"## {set_name}", ""]
        lines += _counted("characters of a conversation, from", told["lengths"].items())
        lines += _counted("questions of a conversation, from", told.get("turns", {}).items())
        for what in ("language", "model"):
            lines += _counted(what, most(told[f"{what}s"]))
    lines += ["", "What each step did is in `report.json`. Rows say in `source` where they come from.", ""]
    return "\n".join(lines)


def most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The first ones by number, and by name where that is the same."""
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]


def _counted(what: str, counts: Iterable[tuple[str, int]]) -> list[str]:
    rows = [f"| {card_cell(name)} | {count} |" for name, count in counts]
    return [f"| {what} | conversations |", "|---|---:|", *rows, ""] if rows else []


def card_cell(name: str) -> str:
    """A model's name is whatever a source said."""
    return " ".join(name.split()).replace("|", "\\|")[:100]
