"""Boards are made, and made again to see whether they are what they say."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.arena.models import Arena
from apps.leaderboard.history import history_write
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.board import Board, BoardConfig, Row, board_make
from apps.leaderboard.rating.graph import Standing
from apps.leaderboard.votes import votes_hash, votes_pack, votes_read, votes_text, votes_unpack

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
    board = board_plain(board_make(votes_read(text), config))
    made_of = {"votes_hash": votes_hash(text), "config": config.as_dict(), "code_version": code_version()}
    newest = Snapshot.objects.filter(arena=arena).defer("votes").first()
    if newest and all(getattr(newest, name) == value for name, value in made_of.items()):
        return newest, False
    n_votes = text.count(b"\n")
    with transaction.atomic():
        snapshot = Snapshot.objects.create(arena=arena, votes=votes_pack(text), n_votes=n_votes, board=board, **made_of)
        history_write(snapshot)
    return snapshot, True


def snapshot_verify(snapshot: Snapshot) -> Verified:
    """Make the board again from its own votes and configuration. Raises: RatingRefused."""
    text = votes_unpack(bytes(snapshot.votes))
    board = board_plain(board_make(votes_read(text), BoardConfig.of(snapshot.config)))
    return Verified(
        has_its_votes=votes_hash(text) == snapshot.votes_hash,
        has_its_numbers=board == snapshot.board,
        has_this_code=code_version() == snapshot.code_version,
    )


def board_plain(board: Board) -> dict[str, Any]:
    """As JSON has it, and gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(board)))
    return plain


def board_stored(snapshot: Snapshot) -> Board:
    """The board of a row."""
    rows = tuple(Row(**{**row, "standing": Standing(row["standing"])}) for row in snapshot.board["rows"])
    return Board(**(snapshot.board | {"rows": rows}))


def code_version() -> str:
    """Hash of the sources on which numbers depend."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(path for folder in _SOURCES for path in (here / folder).glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()
