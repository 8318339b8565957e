"""Sorting a table by one of its columns, by links: without scripts. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Value = str | float | None
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column:
    """`key` is an attribute of the rows. Numbers of which more is better come from the top."""

    key: str
    title: str
    is_downward: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """A column as the page shows it: its link sorts by it, and once more turns the order round."""

    key: str
    title: str
    query: str
    direction: str
    """For `aria-sort`; blank for a column that the table is not sorted by."""


@dataclass(frozen=True, slots=True)
class Order:
    """By which column, and whether against its own direction."""

    column: Column
    is_turned: bool = False

    @classmethod
    def of(cls, columns: Sequence[Column], wanted: str) -> "Order":
        """From `key` or `-key`; the first column for one that there is not."""
        key = wanted.removeprefix("-")
        column = next((column for column in columns if column.key == key), None)
        return cls(columns[0]) if column is None else cls(column, wanted.startswith("-"))

    @property
    def is_downward(self) -> bool:
        return self.column.is_downward != self.is_turned

    def headings(self, columns: Sequence[Column]) -> list[Heading]:
        return [self._heading(column) for column in columns]

    def _heading(self, column: Column) -> Heading:
        if column != self.column:
            return Heading(column.key, column.title, column.key, "")
        turned = column.key if self.is_turned else f"-{column.key}"
        return Heading(column.key, column.title, turned, "descending" if self.is_downward else "ascending")


def sorted_by(rows: Sequence[Row], order: Order) -> list[Row]:
    """What is empty comes last in either direction; among equals the order stays."""

    def value(row: Row) -> Value:
        found: Value = getattr(row, order.column.key)
        return found

    known = [row for row in rows if value(row) not in (None, "")]
    empty = [row for row in rows if value(row) in (None, "")]
    return sorted(known, key=_comparable(value), reverse=order.is_downward) + empty


def _comparable(value: Callable[[Row], Value]) -> Callable[[Row], tuple[str, float]]:
    def key(row: Row) -> tuple[str, float]:
        found = value(row)
        return (found.casefold(), 0.0) if isinstance(found, str) else ("", found or 0.0)

    return key
