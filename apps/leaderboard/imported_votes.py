"""Reads of imported battles, for the text of which a board is made, and for those who ask where its votes are from."""

from collections.abc import Iterator
from typing import TypedDict

import numpy as np

from apps.arena.models import Arena
from apps.leaderboard.battle_files.frequency import UNKNOWN
from apps.leaderboard.models import ImportedBattle, ImportedFile
from apps.leaderboard.rating.battles import FloatArray, IntArray
from apps.leaderboard.vote_lines import Cast, n_lines_from, source_of

_AT_ONCE = 10_000
_COLUMNS = (
    "model_a__name", "model_b__name", "verdict", "weight", "categories", "style_a", "style_b", "prompt_share",
    "voter", "file__sha256",
)  # fmt: skip


class ImportTold(TypedDict):
    """A file of which some of a board's votes are."""

    file: str
    sha256: str
    rows: int
    battles: int
    """On the board."""
    left_out: dict[str, int]
    """Rows by reason."""


def prompts_imported(arena: Arena) -> IntArray:
    """In the order of `votes_imported`; those of which the file says how much they count are not among the counted."""
    found = ImportedBattle.objects.filter(arena=arena).order_by("pk").values_list("prompt", "prompt_share")
    numbers = (UNKNOWN if share is not None else prompt for prompt, share in found.iterator(_AT_ONCE))
    return np.fromiter(numbers, dtype=np.int64)


def votes_imported(arena: Arena, shares: FloatArray) -> Iterator[tuple[str, Cast]]:
    """Voters, blank for nobody in particular, and what they said."""
    found = ImportedBattle.objects.filter(arena=arena).order_by("pk").values_list(*_COLUMNS)
    for share, row in zip(shares.tolist(), found.iterator(_AT_ONCE), strict=True):
        model_a, model_b, verdict, weight, categories, style_a, style_b, told, voter, sha256 = row
        counts = share if told is None else told
        source = source_of(sha256)
        yield voter, Cast(model_a, model_b, verdict, weight, categories, counts, style_a, style_b, source)


def imports_told(arena: Arena, text: bytes) -> list[ImportTold]:
    """Of the files of which some of these votes are, the newest first."""
    counted = ((file, n_lines_from(text, file.sha256)) for file in ImportedFile.objects.filter(arena=arena))
    return [
        {"file": file.name, "sha256": file.sha256, "rows": file.n_rows, "battles": n, "left_out": file.dropped}
        for file, n in counted
        if n
    ]
