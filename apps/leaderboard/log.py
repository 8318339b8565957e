"""The transparency log: who ever took part in an arena, and how often they were drawn from when on. Reads only."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from apps.accounts.actors import Actor
from apps.arena.models import Arena, Contestant
from apps.arena.pages import contestant_told
from apps.catalog.models import Visibility
from apps.leaderboard.models import SamplingChange
from apps.leaderboard.selectors import is_hidden, models_seen

CHANGES_SHOWN = 100
"""On the page; the JSON has all of them."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a contestant is drawn from `at` on."""

    contestant: "Entry"
    at: datetime
    name: str
    weight: float
    boost: float
    is_available: bool
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant, now."""

    pk: int
    id: str
    name: str
    organisation: str
    entered_at: datetime
    retired_at: datetime | None
    weight: float
    boost: float
    is_available: bool

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None and self.retired_at <= timezone.now()


def entries(actor: Actor, arena: Arena) -> list[Entry]:
    """In the order in which they came. One that this actor may not see is left out."""
    visible = models_seen(actor)
    found = Contestant.objects.filter(arena=arena).select_related("model").order_by("pk")
    seen = _deleted_seen(actor, arena)
    return [
        _entry(contestant)
        for contestant in found
        if (contestant.pk in seen if _is_deleted(contestant) else not is_hidden(contestant, visible))
    ]


def changes(arena: Arena, of: list[Entry], *, limit: int | None = None) -> list[Change]:
    """Of these contestants, the newest first."""
    by_pk = {entry.pk: entry for entry in of}
    found = SamplingChange.objects.filter(arena=arena, contestant__in=by_pk).order_by("-pk")
    return [_change(row, by_pk[row.contestant_id]) for row in found[:limit]]


def log_plain(arena: Arena, of: list[Entry]) -> list[dict[str, object]]:
    """For JSON: each contestant with its changes, the earliest first."""
    of_entries: defaultdict[int, list[dict[str, object]]] = defaultdict(list)
    for change in reversed(changes(arena, of)):
        of_entries[change.contestant.pk].append(
            {
                "at": change.at.isoformat(),
                "name": change.name,
                "weight": change.weight,
                "boost": change.boost,
                "is_available": change.is_available,
                "retired_at": _iso(change.retired_at),
            }
        )
    return [
        {
            "id": entry.id,
            "name": entry.name,
            "organisation": entry.organisation,
            "entered_at": entry.entered_at.isoformat(),
            "retired_at": _iso(entry.retired_at),
            "changes": of_entries[entry.pk],
        }
        for entry in of
    ]


def _is_deleted(contestant: Contestant) -> bool:
    return contestant.is_automatic and contestant.model_id is None


def _deleted_seen(actor: Actor, arena: Arena) -> set[int]:
    """Contestants whose model was deleted and was for this actor then."""
    newest = (
        SamplingChange.objects.filter(arena=arena, contestant__model=None, contestant__is_automatic=True)
        .order_by("contestant_id", "-pk")
        .distinct("contestant_id")
    )
    allowed = {Visibility.PUBLIC, Visibility.MEMBERS} if actor.is_authenticated else {Visibility.PUBLIC}
    return {change.contestant_id for change in newest if change.visibility in allowed}


def _entry(contestant: Contestant) -> Entry:
    told = contestant_told(contestant)
    return Entry(
        contestant.pk,
        str(contestant.public_id),
        told.name,
        told.organisation,
        contestant.created_at,
        contestant.retired_at,
        contestant.weight,
        contestant.boost,
        contestant.is_available,
    )


def _change(row: SamplingChange, entry: Entry) -> Change:
    return Change(entry, row.changed_at, row.name, row.weight, row.boost, row.is_available, row.retired_at)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
