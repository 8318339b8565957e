"""A vote as a line of the text of which a board is made. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.arena.models import Verdict
from apps.leaderboard.battle_files.style import metadata_of

WINNERS = {
    Verdict.A: "model_a",
    Verdict.B: "model_b",
    Verdict.TIE: "tie",
    Verdict.BOTH_BAD: "tie (bothbad)",
}
IMPORTED_FROM = "imported_from"


@dataclass(frozen=True, slots=True)
class Cast:
    """What a line says. `share`: what it counts where frequent prompts count less."""

    model_a: str
    model_b: str
    verdict: str
    weight: float
    categories: Sequence[str]
    share: float
    style_a: Sequence[float] | None
    style_b: Sequence[float] | None
    source: str = ""
    """Of an imported battle: from which file, by `source_of`."""


def line_of(cast: Cast) -> str:
    """As a row of a clean-battle file."""
    row: dict[str, Any] = {
        "model_a": cast.model_a,
        "model_b": cast.model_b,
        "winner": WINNERS[Verdict(cast.verdict)],
        "weight": cast.weight,
        "categories": cast.categories,
    }
    if cast.share < 1:
        row["prompt_share"] = round(cast.share, 6)
    if cast.style_a is not None and cast.style_b is not None:
        row["conv_metadata"] = metadata_of(tuple(cast.style_a), tuple(cast.style_b))
    if cast.source:
        row[IMPORTED_FROM] = cast.source
    return json.dumps(row, ensure_ascii=False)


def source_of(sha256: str) -> str:
    """Short, and enough to tell the files of an arena apart."""
    return sha256[:16]


def n_lines_from(text: bytes, sha256: str) -> int:
    """How many lines are of this file."""
    return text.count(f'"{IMPORTED_FROM}": "{source_of(sha256)}"'.encode())
