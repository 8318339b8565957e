"""A board's configuration as the options of `leaderboard build` that give it. Pure."""

import shlex
from dataclasses import fields
from typing import Any

from apps.leaderboard.rating.board import BoardConfig
from apps.leaderboard.rating.slices import OVERALL, Slice

OPTIONS = {
    "tie_model": "--ties",
    "covariance": "--intervals",
    "confidence": "--confidence",
    "has_side": "--side-effect",
    "min_battles": "--min-battles",
    "base": "--base",
    "anchor": "--anchor",
    "deduplicates": "--dedup",
}
"""By field of `BoardConfig`: all of them have one."""


def config_flags(config: dict[str, Any]) -> str:
    """For a shell; what is as it is without options, or was no option then, is left out."""
    given: list[str] = []
    for field in fields(BoardConfig):
        value = config.get(field.name, field.default)
        if value != field.default:
            given += [OPTIONS[field.name]] if value is True else [OPTIONS[field.name], str(value)]
    return shlex.join(given)


def slice_flags(of: Slice) -> str:
    """Which board of those votes."""
    category = [] if of.category == OVERALL else ["--category", of.category]
    return shlex.join([*category, *["--style"] * of.is_styled])
