"""Boards are made, and made again to see whether they are what they say."""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from django.db import transaction

from apps.arena.models import Arena, Contestant
from apps.catalog.models import Visibility
from apps.leaderboard.battle_files.style import FEATURES
from apps.leaderboard.errors import BoardOvertaken
from apps.leaderboard.history import history_write
from apps.leaderboard.imported_votes import ImportTold, imports_told
from apps.leaderboard.models import CategoryBoard, Snapshot
from apps.leaderboard.rating.battles import Battles
from apps.leaderboard.rating.board import Board, BoardConfig, Coefficient, Row
from apps.leaderboard.rating.matrices import pairs
from apps.leaderboard.rating.slices import OVERALL, Boards, Slice, boards_make
from apps.leaderboard.rating.tally import Tally
from apps.leaderboard.selectors import snapshot_newest
from apps.leaderboard.tallies import arena_hold, is_countable, tally_begin, tally_keep, tally_resume
from apps.leaderboard.traits import traits_write
from apps.leaderboard.votes import votes_hash, votes_lines, votes_pack, votes_read, votes_text, votes_unpack

TOLERANCE = 1e-6
"""In rating points: numbers closer than that are the same."""
COUNTED_FROM = 10_000
"""Of fewer votes a whole board is made in seconds."""
_MAIN = Slice(OVERALL, is_styled=False)
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
    return _build(arena, config, snapshot_newest(arena), is_again=False)


def snapshot_rebuild(arena: Arena) -> tuple[Snapshot, bool]:
    """The same with the options of the newest board, and only in its place: what somebody publishes meanwhile stays.

    Raises: RatingRefused, BoardOvertaken.
    """
    newest = snapshot_newest(arena)
    return _build(arena, BoardConfig.of(newest.config) if newest else BoardConfig(), newest, is_again=True)


def _build(arena: Arena, config: BoardConfig, newest: Snapshot | None, *, is_again: bool) -> tuple[Snapshot, bool]:
    with transaction.atomic():
        arena_hold(arena)
        counted, before = tally_begin(arena)
    traits_write(arena, counted)
    text = votes_text(arena)
    made_of = {"votes_hash": votes_hash(text), "config": config.as_dict(), "code_version": code_version()}
    if newest and all(getattr(newest, name) == value for name, value in made_of.items()):
        if before is not None:
            tally_resume(counted, before, newest)
        return newest, False
    battles, reading = votes_read(BytesIO(text), deduplicates=config.deduplicates)
    made = Made.of(boards_make(battles, reading.categories, FEATURES, config), battles)
    with transaction.atomic():
        arena_hold(arena)
        if is_again and snapshot_newest(arena) != newest:
            raise BoardOvertaken
        snapshot = snapshot_publish(arena, text, config, made, imports=imports_told(arena, text))
        if snapshot.n_votes >= COUNTED_FROM and is_countable(config):
            tally_keep(counted, snapshot, Tally.of(battles, reading.categories), len(reading.judges))
    return snapshot, True


def snapshot_publish(
    arena: Arena,
    text: bytes,
    config: BoardConfig,
    made: "Made",
    *,
    base: Snapshot | None = None,
    imports: Sequence[ImportTold] = (),
) -> Snapshot:
    """`text` has all votes, or those that are added to the base's, which has its imports."""
    boards = dict(made.boards)
    snapshot = Snapshot.objects.create(
        arena=arena,
        base=base,
        votes=votes_pack(text),
        votes_hash=votes_hash(text, base),
        n_votes=text.count(b"\n") + (base.n_votes if base else 0),
        config=config.as_dict(),
        code_version=code_version(),
        board=boards.pop(_MAIN),
        pairs=made.pairs,
        contestants=_contestants(arena, made.pairs["names"]),
        imports=list(base.imports if base else imports),
    )
    CategoryBoard.objects.bulk_create(
        CategoryBoard(snapshot=snapshot, category=of.category, is_styled=of.is_styled, board=board)
        for of, board in boards.items()
    )
    history_write(snapshot)
    return snapshot


def snapshot_verify(snapshot: Snapshot) -> Verified:
    """Make all its boards again from its own votes and configuration, if they are its own. Raises: RatingRefused."""
    has_this_code = code_version() == snapshot.code_version
    if not _has_its_votes(snapshot):
        return Verified(has_its_votes=False, has_its_numbers=False, has_this_code=has_this_code)
    config = BoardConfig.of(snapshot.config)
    battles, reading = votes_read(votes_lines(snapshot), deduplicates=config.deduplicates)
    features = () if snapshot.base else FEATURES
    made = Made.of(boards_make(battles, reading.categories, features, config), battles)
    stored = {Slice(of.category, of.is_styled): of.board for of in snapshot.category_boards.all()}
    stored[_MAIN] = snapshot.board
    is_same = made.boards.keys() == stored.keys() and made.pairs == snapshot.pairs
    is_same = is_same and all(_is_alike(board, stored[of]) for of, board in made.boards.items())
    return Verified(has_its_votes=True, has_its_numbers=is_same, has_this_code=has_this_code)


def _has_its_votes(snapshot: Snapshot) -> bool:
    try:
        text = votes_unpack(bytes(snapshot.votes))
    except (OSError, EOFError, zlib.error):
        return False
    base = snapshot.base
    return votes_hash(text, base) == snapshot.votes_hash and (base is None or _has_its_votes(base))


@dataclass(frozen=True, slots=True)
class Made:
    """What votes give, as JSON has it."""

    boards: dict[Slice, dict[str, Any]]
    pairs: dict[str, Any]

    @classmethod
    def of(cls, found: Boards, battles: Battles) -> Self:
        """Without categories and styles that have no board. Raises: RatingRefused, when the main board has none."""
        if _MAIN in found.refused:
            raise found.refused[_MAIN]
        return cls({of: board_plain(board) for of, board in found.made.items()}, pairs_plain(battles))


def board_plain(board: Board) -> dict[str, Any]:
    """As JSON has it, and gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(board, default=_fields, allow_nan=False))
    return plain


def _fields(of: Board | Row | Coefficient) -> dict[str, Any]:
    """Not by `asdict`, which copies each number of them: of a hundred models in some boards that takes a while."""
    return {field.name: getattr(of, field.name) for field in fields(of)}


def pairs_plain(battles: Battles) -> dict[str, Any]:
    """Names, and for each two that met: their numbers in the list, wins of the first, wins of the second, ties."""
    found = pairs(battles.cells(), battles.n_models)
    return {"names": list(battles.names), "pairs": [list(pair) for pair in found]}


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
