"""All boards of the same battles: of everything and of each category, each as voted and with style taken out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from apps.leaderboard.errors import RatingRefused, StyleWanted
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import Board, BoardConfig, board_make

OVERALL = "overall"


class Slice(NamedTuple):
    """Which battles, and whether style is taken out."""

    category: str
    is_styled: bool


@dataclass(frozen=True, slots=True)
class Boards:
    """Those that there are, and why there are no others."""

    made: dict[Slice, Board]
    refused: dict[Slice, RatingRefused]


def boards_make(battles: Battles, categories: Sequence[str], features: tuple[str, ...], config: BoardConfig) -> Boards:
    """`categories` are the meanings of the bits of `battles.tags`, `features` those of the columns of its style.

    Without features none of them takes style out.
    """
    styles = (False, True) if features else (False,)
    slices = [Slice(category, is_styled) for category in (OVERALL, *sorted(categories)) for is_styled in styles]
    return boards_collect({of: partial(board_of_slice, battles, of, categories, features, config) for of in slices})


def boards_collect(makers: Mapping[Slice, Callable[[], Board]]) -> Boards:
    made: dict[Slice, Board] = {}
    refused: dict[Slice, RatingRefused] = {}
    for of, make in makers.items():
        try:
            made[of] = make()
        except RatingRefused as exc:
            refused[of] = exc
    return Boards(made, refused)


def board_of_slice(
    battles: Battles, of: Slice, categories: Sequence[str], features: tuple[str, ...], config: BoardConfig
) -> Board:
    """Raises: RatingRefused."""
    battles = of_category(battles, of.category, categories)
    return board_make(with_style(battles), config, features) if of.is_styled else board_make(unstyled(battles), config)


def of_category(battles: Battles, category: str, categories: Sequence[str]) -> Battles:
    """None at all of one that no battle is in."""
    if category == OVERALL:
        return battles
    bit = 1 << categories.index(category) if category in categories else 0
    tags = np.zeros(len(battles), dtype=np.int64) if battles.tags is None else battles.tags
    return battles.where((tags & bit) != 0)


def unstyled(battles: Battles) -> Battles:
    return replace(battles, style=None)


def with_style(battles: Battles) -> Battles:
    """Those of which the style is known. Raises: StyleWanted."""
    if battles.style is None or np.isnan(battles.style).all():
        raise StyleWanted(reason="nothing is known of any answer")
    return battles.where(np.asarray(~np.isnan(battles.style).any(1)))
