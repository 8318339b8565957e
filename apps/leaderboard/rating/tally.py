"""Battles counted for each board, so that new ones can be added to what is known of old ones.

What depends on single battles is not in it: voters, and style.
"""

import io
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import BoardConfig, board_make
from apps.leaderboard.rating.slices import OVERALL, Boards, Slice, boards_collect, of_category, unstyled

_COLUMNS = {"first": np.int32, "second": np.int32, "outcome": np.int8, "weight": np.float64, "count": np.int64}


@dataclass(frozen=True, slots=True)
class Tally:
    """`boards`: by category, with all battles under `OVERALL`; battles that are alike are one row. All of `names`."""

    names: tuple[str, ...]
    boards: dict[str, Battles]

    @classmethod
    def of(cls, battles: Battles, categories: tuple[str, ...]) -> Self:
        """`categories` are the meanings of the bits of `battles.tags`."""
        slices = ((category, of_category(battles, category, categories)) for category in (OVERALL, *categories))
        return cls(battles.names, {category: _alike(unstyled(of)) for category, of in slices})

    @property
    def everything(self) -> Battles:
        return self.boards[OVERALL]

    def plus(self, other: "Tally") -> "Tally":
        """Raises: TooManyModels."""
        names = tuple(sorted({*self.names, *other.names}))
        parts: dict[str, list[Battles]] = {}
        for tally in (self, other):
            for category, battles in tally.boards.items():
                parts.setdefault(category, []).append(battles)
        return Tally(names, {category: _joined(of, names) for category, of in parts.items()})

    def to_bytes(self) -> bytes:
        categories = tuple(self.boards)
        sizes = [len(self.boards[category]) for category in categories]
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(battles, name) for battles in self.boards.values()]).astype(kind)
            for name, kind in _COLUMNS.items()
        }
        file = io.BytesIO()
        np.savez(file, names=np.array(self.names), categories=np.array(categories), sizes=np.array(sizes), **columns)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            names, categories = (tuple(found[key].tolist()) for key in ("names", "categories"))
            ends = np.cumsum(found["sizes"])[:-1]
            columns = {name: np.split(found[name], ends) for name in _COLUMNS}
        rows = [dict(zip(columns, of_board, strict=True)) for of_board in zip(*columns.values(), strict=True)]
        return cls(names, {category: _battles(names, **of) for category, of in zip(categories, rows, strict=True)})


def boards_of_tally(tally: Tally, config: BoardConfig) -> Boards:
    """As `slices.boards_make` of the same battles, without those that take style out."""
    makers = {
        Slice(category, is_styled=False): partial(board_make, tally.boards[category], config)
        for category in (OVERALL, *sorted(tally.boards.keys() - {OVERALL}))
    }
    return boards_collect(makers)


def _battles(names: tuple[str, ...], **columns: Any) -> Battles:
    wide = {name: column if name == "weight" else column.astype(np.int64) for name, column in columns.items()}
    return Battles.of(names, **wide)


def _alike(battles: Battles) -> Battles:
    cells = battles.cells()
    columns = {name: getattr(cells, name) for name in _COLUMNS}
    return _battles(battles.names, **columns)


def _joined(parts: list[Battles], names: tuple[str, ...]) -> Battles:
    index = {name: i for i, name in enumerate(names)}
    numbers = [np.array([index[name] for name in battles.names], dtype=np.int64) for battles in parts]
    columns = {name: np.concatenate([getattr(battles, name) for battles in parts]) for name in _COLUMNS}
    for name in ("first", "second"):
        ours = [number[getattr(battles, name)] for number, battles in zip(numbers, parts, strict=True)]
        columns[name] = np.concatenate(ours)
    return _alike(_battles(names, **columns))
