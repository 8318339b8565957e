"""Reads of the leaderboard: the newest board of an arena, as far as somebody may see it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.accounts.actors import Actor
from apps.arena.models import Arena, Contestant
from apps.arena.pages import contestant_told
from apps.catalog.selectors import models_visible
from apps.leaderboard.errors import SnapshotUnknown
from apps.leaderboard.models import Snapshot
from apps.leaderboard.rating.graph import Standing
from apps.leaderboard.tables import WORDS


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One model of a board, with what the site knows of it."""

    contestant_pk: int | None
    rank: int | None
    name: str
    rating: float | None
    lower: float | None
    upper: float | None
    votes: int
    organisation: str
    licence: str
    is_retired: bool
    note: str


def snapshot_newest(arena: Arena) -> Snapshot | None:
    return Snapshot.objects.filter(arena=arena).defer("votes").first()


def snapshot_get(public_id: UUID) -> Snapshot:
    """Raises: SnapshotUnknown."""
    snapshot = Snapshot.objects.select_related("arena").filter(public_id=public_id).first()
    if snapshot is None:
        raise SnapshotUnknown
    return snapshot


@dataclass(frozen=True, slots=True)
class SeenBoard:
    """A board as far as somebody may see it."""

    rows: list[BoardRow]
    """In the board's order. A model that they may not see is not named; ranks stay as they are."""
    hidden: frozenset[str]
    """Names that are on the board and not for them."""
    config: dict[str, Any]
    """Without the name of a hidden anchor."""


def board_seen(actor: Actor, snapshot: Snapshot) -> SeenBoard:
    contestants, visible = _contestants(snapshot), models_seen(actor)
    rows = snapshot.board["rows"]
    hidden = frozenset(row["name"] for row in rows if is_hidden(contestants.get(row["name"]), visible))
    config = snapshot.config | ({"anchor": ""} if snapshot.config["anchor"] in hidden else {})
    return SeenBoard(
        [_row(row, contestants.get(row["name"])) for row in rows if row["name"] not in hidden], hidden, config
    )


def _contestants(snapshot: Snapshot) -> dict[str, Contestant]:
    found = Contestant.objects.filter(arena=snapshot.arena_id).select_related("model")
    return {contestant.name: contestant for contestant in found}


def models_seen(actor: Actor) -> set[int]:
    return set(models_visible(actor).values_list("pk", flat=True))


def is_hidden(contestant: Contestant | None, visible: set[int]) -> bool:
    """One that an admin entered is for everybody who may enter the arena."""
    if contestant is None or not contestant.is_automatic or contestant.model_id is None:
        return False
    return contestant.model_id not in visible


def _row(row: dict[str, object], contestant: Contestant | None) -> BoardRow:
    told = contestant_told(contestant) if contestant else None
    standing = Standing(str(row["standing"]))
    return BoardRow(
        contestant_pk=contestant.pk if contestant else None,
        rank=row["rank"],  # type: ignore[arg-type]  # from JSON
        name=told.name if told else str(row["name"]),
        rating=row["rating"],  # type: ignore[arg-type]
        lower=row["lower"],  # type: ignore[arg-type]
        upper=row["upper"],  # type: ignore[arg-type]
        votes=row["n_battles"],  # type: ignore[arg-type]
        organisation=told.organisation if told else "",
        licence=told.licence if told else "",
        is_retired=bool(contestant and contestant.retired_at),
        note=WORDS.get(standing, ""),
    )
