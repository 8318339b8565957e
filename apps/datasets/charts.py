"""The charts of a set: how long its conversations are, in which languages, by which models, what its steps dropped, and
how many tokens it has. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.core.charts import marks
from apps.datasets.cards import most

NAME_MAX_CHARS = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """`rows`: what is drawn, as a table for people."""

    title: str
    summary: str
    head: tuple[str, str]
    rows: tuple[tuple[str, int], ...]

    @property
    def spec(self) -> marks.Spec:
        records = [{"name": name, "value": value} for name, value in self.rows]
        return marks.bars(records, "value", self.head[1], ",d")


def figures(told: Mapping[str, Any], steps: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """`told`: counts of a set. `steps`: reports of all that its rows went through. What has no numbers is left out."""
    dropped = [(one["name"], sum(one["dropped"].values())) for one in steps]
    made = (
        _figure("Lengths", ("Characters, from", "Conversations"), list(told["lengths"].items())),
        _figure("Turns", ("Questions, from", "Conversations"), list(told.get("turns", {}).items())),
        _figure("Languages", ("Language", "Conversations"), most(told["languages"])),
        _figure("Models", ("Model", "Conversations"), most(told["models"])),
        _figure("Dropped", ("Step", "Rows"), [(name, n) for name, n in dropped if n]),
    )
    return [figure for figure in made if figure is not None]


def token_figures(name: str, totals: Mapping[str, Any]) -> list[Figure]:
    """`name`: of the tokenizer. `totals`: as `TokenTotals.as_dict` has them."""
    made = (
        _figure(f"Tokens by {name}", ("Tokens, from", "Conversations"), list(totals["lengths"].items())),
        _figure(f"Tokens of roles by {name}", ("Role", "Tokens"), most(totals["roles"])),
    )
    return [figure for figure in made if figure is not None]


def _figure(title: str, head: tuple[str, str], counts: Sequence[tuple[str, int]]) -> Figure | None:
    if not counts:
        return None
    # Two names with one beginning would be one bar.
    rows = tuple((f"{name[:NAME_MAX_CHARS]}…{n}" if len(name) > NAME_MAX_CHARS else name, value)
                 for n, (name, value) in enumerate(counts))  # fmt: skip
    name, value = max(rows, key=lambda row: row[1])
    return Figure(title, f"{title}: {len(rows)} bars, the longest is {name} with {value}.", head, rows)
