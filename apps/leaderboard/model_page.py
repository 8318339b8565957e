"""One contestant: its card from the catalog, its place on the board, its way there, and whom it met."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from apps.accounts.actors import Actor
from apps.accounts.errors import plain
from apps.arena.models import Arena, Contestant
from apps.arena.pages import Told, contestant_told
from apps.leaderboard.errors import ContestantUnseen
from apps.leaderboard.history import Trend
from apps.leaderboard.models import DailyRating, SamplingChange, Snapshot
from apps.leaderboard.pages import spark
from apps.leaderboard.rating.elo import elo_expected
from apps.leaderboard.selectors import BoardRow, board_seen, is_hidden, models_seen, snapshot_newest

HISTORY_DAYS = 365


@dataclass(frozen=True, slots=True)
class Opponent:
    """Whom it met, and how that ended. `predicted`: what it is expected to get, if both have a rating."""

    name: str
    won: int
    lost: int
    tied: int
    predicted: float | None

    @property
    def met(self) -> int:
        return self.won + self.lost + self.tied


@dataclass(frozen=True, slots=True)
class Card:
    """All that a page says of a contestant."""

    contestant: Contestant
    told: Told
    row: BoardRow | None
    """None as long as it is on no board."""
    history: list[DailyRating]
    """The newest first."""
    spark: str
    opponents: list[Opponent]
    sampling: list[SamplingChange]
    """The newest first."""
    input_price: str
    output_price: str
    """Of a million tokens; blank when the model was deleted."""
    context_length: int | None


def card(actor: Actor, arena: Arena, public_id: UUID) -> Card:
    """Raises: ContestantUnseen, also when it is there and not for this actor."""
    contestant = Contestant.objects.filter(arena=arena, public_id=public_id).select_related("model").first()
    snapshot = snapshot_newest(arena)
    rows = board_seen(actor, snapshot).rows if snapshot else []
    if contestant is None or not _is_for(actor, contestant, rows):
        raise ContestantUnseen
    row = next((row for row in rows if row.contestant_pk == contestant.pk), None)
    history = _history(contestant)
    model = contestant.model
    return Card(
        contestant,
        contestant_told(contestant),
        row,
        history,
        spark(_trend(history)) if len(history) > 1 else "",
        _opponents(snapshot, row, rows) if snapshot and row else [],
        list(SamplingChange.objects.filter(contestant=contestant)[:20]),
        plain(model.input_price) if model else "",
        plain(model.output_price) if model else "",
        model.context_length if model else None,
    )


def _is_for(actor: Actor, contestant: Contestant, rows: list[BoardRow]) -> bool:
    """The card of a deleted model is for those who may see it on the board."""
    if contestant.is_automatic and contestant.model_id is None:
        return any(row.contestant_pk == contestant.pk for row in rows)
    return not is_hidden(contestant, models_seen(actor))


def _history(contestant: Contestant) -> list[DailyRating]:
    days = DailyRating.objects.filter(contestant=contestant).order_by("-day")
    newest = days.first()
    return list(days.filter(day__gt=newest.day - timedelta(days=HISTORY_DAYS))) if newest else []


def _trend(history: list[DailyRating]) -> Trend:
    earliest_first = history[::-1]
    return Trend(tuple(one.day for one in earliest_first), tuple(one.rating for one in earliest_first))


def _opponents(snapshot: Snapshot, own: BoardRow, rows: list[BoardRow]) -> list[Opponent]:
    """In the order of the board."""
    names = snapshot.pairs.get("names", [])
    ended = {}
    for first, second, won, lost, tied in snapshot.pairs.get("pairs", []):
        if names[first] == own.key:
            ended[names[second]] = (won, lost, tied)
        elif names[second] == own.key:
            ended[names[first]] = (lost, won, tied)
    return [Opponent(row.name, *ended[row.key], _predicted(own, row)) for row in rows if row.key in ended]


def _predicted(own: BoardRow, other: BoardRow) -> float | None:
    if own.rating is None or other.rating is None:
        return None
    return 100 * elo_expected(own.rating, other.rating)
