"""Boards are made, and made again to see whether they are what they say."""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.arena.models import Arena, Contestant
from apps.catalog.models import Visibility
from apps.leaderboard.history import history_write
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import Board, BoardConfig, board_make
from apps.leaderboard.rating.matrices import pairs
from apps.leaderboard.selectors import snapshot_newest
from apps.leaderboard.votes import votes_hash, votes_pack, votes_read, votes_text, votes_unpack

TOLERANCE = 1e-6
"""In rating points: numbers closer than that are the same."""
_SOURCES = ("rating", "battle_files")


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of making a board again."""

    has_its_votes: bool
    has_its_numbers: bool
    has_this_code: bool

    @property
    def is_right(self) -> bool:
        return self.has_its_votes and self.has_its_numbers


def snapshot_build(arena: Arena, config: BoardConfig) -> tuple[Snapshot, bool]:
    """The board of an arena's votes, and whether it is new: with nothing changed, the newest one stays.

    Raises: RatingRefused; the old board stays.
    """
    text = votes_text(arena)
    made_of = {"votes_hash": votes_hash(text), "config": config.as_dict(), "code_version": code_version()}
    newest = snapshot_newest(arena)
    if newest and all(getattr(newest, name) == value for name, value in made_of.items()):
        return newest, False
    battles, _ = votes_read(text)
    made = {
        "board": board_plain(board_make(battles, config)),
        "pairs": pairs_plain(battles),
        "contestants": _contestants(arena, battles.names),
    }
    with transaction.atomic():
        snapshot = Snapshot.objects.create(
            arena=arena, votes=votes_pack(text), n_votes=text.count(b"\n"), **made_of, **made
        )
        history_write(snapshot)
    return snapshot, True


def snapshot_verify(snapshot: Snapshot) -> Verified:
    """Make the board again from its own votes and configuration, if they are its own. Raises: RatingRefused."""
    has_this_code = code_version() == snapshot.code_version
    try:
        text = votes_unpack(bytes(snapshot.votes))
    except (OSError, EOFError, zlib.error):
        return Verified(has_its_votes=False, has_its_numbers=False, has_this_code=has_this_code)
    if votes_hash(text) != snapshot.votes_hash:
        return Verified(has_its_votes=False, has_its_numbers=False, has_this_code=has_this_code)
    battles, _ = votes_read(text)
    board = board_plain(board_make(battles, BoardConfig.of(snapshot.config)))
    is_same = _is_alike(board, snapshot.board) and pairs_plain(battles) == snapshot.pairs
    return Verified(has_its_votes=True, has_its_numbers=is_same, has_this_code=has_this_code)


def board_plain(board: Board) -> dict[str, Any]:
    """As JSON has it, and gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(board), allow_nan=False))
    return plain


def pairs_plain(battles: Battles) -> dict[str, Any]:
    """Names, and for each two that met: their numbers in the list, wins of the first, wins of the second, ties."""
    found = pairs(battles.cells(), battles.n_models)
    return {"names": list(battles.names), "pairs": [list(astuple(pair)) for pair in found]}


def _contestants(arena: Arena, names: Sequence[str]) -> dict[str, dict[str, object]]:
    """Whom each name meant, and whether everybody might know: names and visibility change, and models are deleted."""
    found = Contestant.objects.filter(arena=arena, name__in=names).select_related("model")
    return {one.name: {"pk": one.pk, "is_public": _is_public(one)} for one in found}


def _is_public(contestant: Contestant) -> bool:
    if not contestant.is_automatic:
        return True
    return contestant.model is not None and contestant.model.visibility == Visibility.PUBLIC


def _is_alike(made: Any, stored: Any) -> bool:
    """Equal, but for last digits of numbers, which differ from one processor to another."""
    match made, stored:
        case dict(), dict():
            return made.keys() == stored.keys() and all(_is_alike(made[key], stored[key]) for key in made)
        case list(), list():
            return len(made) == len(stored) and all(map(_is_alike, made, stored))
        case float(), float() | int():
            return abs(made - stored) <= TOLERANCE
        case _:
            return bool(made == stored)


def code_version() -> str:
    """Hash of the sources on which numbers depend."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(path for folder in _SOURCES for path in (here / folder).glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()
