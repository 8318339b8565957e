"""Reads of the leaderboard: the newest board of an arena, as far as somebody may see it."""

from dataclasses import dataclass
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


def rows_visible(actor: Actor, snapshot: Snapshot) -> list[BoardRow]:
    """In the board's order. A model that this actor may not see is not named; ranks stay as they are."""
    contestants = {
        contestant.name: contestant
        for contestant in Contestant.objects.filter(arena=snapshot.arena_id).select_related("model")
    }
    visible = set(models_visible(actor).values_list("pk", flat=True))
    rows = []
    for row in snapshot.board["rows"]:
        contestant = contestants.get(row["name"])
        if contestant and contestant.is_automatic and contestant.model_id and contestant.model_id not in visible:
            continue
        rows.append(_row(row, contestant))
    return rows


def _row(row: dict[str, object], contestant: Contestant | None) -> BoardRow:
    told = contestant_told(contestant) if contestant else None
    standing = Standing(str(row["standing"]))
    return BoardRow(
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
