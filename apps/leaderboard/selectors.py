"""Reads of the leaderboard: the newest board of an arena, as far as somebody may see it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.arena.models import Arena, Contestant
from apps.arena.pages import contestant_told
from apps.arena.standings import Standing as ArenaStanding
from apps.catalog.selectors import models_visible
from apps.leaderboard.charts.kinds import Kind
from apps.leaderboard.errors import SnapshotUnknown
from apps.leaderboard.models import Chart, DailyRating, Snapshot
from apps.leaderboard.rating.graph import Standing
from apps.leaderboard.tables import WORDS

_TOLD = (
    *("public_id", "name", "is_automatic", "retired_at"),
    *(f"model__{field}" for field in ("name", "display_name", "organisation", "licence", "description")),
)
"""What a row says of a contestant. The rest may be long, as instructions are."""


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One model of a board, with what the site knows of it."""

    key: str
    """Its name in the votes."""
    contestant_pk: int
    contestant_id: UUID
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


def snapshot_newest(arena: Arena, *, is_styled: bool = False) -> Snapshot | None:
    """Of those that have boards with style taken out, where these are asked for: they are of all votes."""
    found = Snapshot.objects.filter(arena=arena, **({"base": None} if is_styled else {}))
    large = ("votes", "pairs", *(f"base__{name}" for name in ("votes", "pairs", "board", "contestants", "config")))
    return found.select_related("base").defer(*large).first()


def snapshot_get(public_id: UUID) -> Snapshot:
    """Raises: SnapshotUnknown."""
    snapshot = Snapshot.objects.select_related("arena").filter(public_id=public_id).first()
    if snapshot is None:
        raise SnapshotUnknown
    return snapshot


def standings_get(contestant_pks: Sequence[int]) -> dict[int, ArenaStanding]:
    """Where these stand on the newest boards of their arenas, of those that have a rating there; for `apps.arena`."""
    arenas = Arena.objects.filter(contestants__in=contestant_pks)
    newest = Snapshot.objects.filter(arena__in=arenas).order_by("arena_id", "-pk").distinct("arena_id").values("pk")
    rated = DailyRating.objects.filter(contestant__in=contestant_pks, snapshot__in=newest)
    return {
        row.contestant_id: ArenaStanding(
            row.rank, row.rating, reverse("leaderboard:board-of", args=[row.contestant.arena.slug])
        )
        for row in rated.select_related("contestant__arena")
    }


@dataclass(frozen=True, slots=True)
class SeenBoard:
    """A board as far as somebody may see it."""

    rows: list[BoardRow]
    """In the board's order. A model that they may not see is not named; ranks stay as they are."""
    hidden: frozenset[str]
    """Names that are on the board and not for them."""
    config: dict[str, Any]
    """Without the name of a hidden anchor."""


def board_seen(actor: Actor, snapshot: Snapshot, board: dict[str, Any] | None = None) -> SeenBoard:
    """The main board, or one of its category boards."""
    seen = _contestants_seen(actor, snapshot)
    rows = (board or snapshot.board)["rows"]
    hidden = frozenset(row["name"] for row in rows if row["name"] not in seen)
    config = snapshot.config | ({"anchor": ""} if snapshot.config["anchor"] in hidden else {})
    return SeenBoard([_row(row, seen[row["name"]]) for row in rows if row["name"] in seen], hidden, config)


def audience_of(actor: Actor, snapshot: Snapshot) -> str:
    """One for all from whom the same names of a board are hidden: what was made for one of them is for all of them."""
    return hashlib.sha256(json.dumps(sorted(board_seen(actor, snapshot).hidden)).encode()).hexdigest()


def chart_newest(actor: Actor, arena: Arena, kind: Kind) -> Chart | None:
    """As this actor may see it, of the newest board that has been drawn."""
    is_drawn = Exists(Chart.objects.filter(snapshot=OuterRef("pk")))
    snapshot = Snapshot.objects.filter(is_drawn, arena=arena).defer("votes", "pairs").first()
    if snapshot is None:
        return None
    chart = Chart.objects.filter(snapshot=snapshot, audience=audience_of(actor, snapshot), kind=kind.value).first()
    if chart is not None:
        chart.snapshot = snapshot
    return chart


def _contestants_seen(actor: Actor, snapshot: Snapshot) -> dict[str, Contestant]:
    """Whom the board's names meant, whatever they are called now. A deleted model is as public as it was then."""
    meant = snapshot.contestants
    wanted = Contestant.objects.select_related("model").only(*_TOLD)
    found = wanted.in_bulk([one["pk"] for one in meant.values()])
    visible = models_seen(actor)
    return {
        name: found[one["pk"]]
        for name, one in meant.items()
        if (one["is_public"] if found[one["pk"]].model_id is None else not is_hidden(found[one["pk"]], visible))
    }


def models_seen(actor: Actor) -> set[int]:
    return set(models_visible(actor).values_list("pk", flat=True))


def is_hidden(contestant: Contestant, visible: set[int]) -> bool:
    """One that an admin entered is for everybody who may enter the arena."""
    return contestant.is_automatic and contestant.model_id is not None and contestant.model_id not in visible


def _row(row: dict[str, object], contestant: Contestant) -> BoardRow:
    told = contestant_told(contestant)
    standing = Standing(str(row["standing"]))
    return BoardRow(
        key=str(row["name"]),
        contestant_pk=contestant.pk,
        contestant_id=contestant.public_id,
        rank=row["rank"],  # type: ignore[arg-type]  # from JSON
        name=told.name,
        rating=row["rating"],  # type: ignore[arg-type]
        lower=row["lower"],  # type: ignore[arg-type]
        upper=row["upper"],  # type: ignore[arg-type]
        votes=row["n_battles"],  # type: ignore[arg-type]
        organisation=told.organisation,
        licence=told.licence,
        is_retired=contestant.retired_at is not None and contestant.retired_at <= timezone.now(),
        note=WORDS.get(standing, ""),
    )
