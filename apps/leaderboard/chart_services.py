"""Draw the charts of boards, and keep them. A request only reads what is kept."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta

from django.db import transaction
from django.db.models import Aggregate, F, FloatField
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.arena.models import Arena, Contestant, Side
from apps.conversations.models import GenerationState
from apps.core.charts.drawing import VERSION, draw
from apps.leaderboard.charts.figures import figures
from apps.leaderboard.charts.kinds import Figure, Met, Past, Shown, Told
from apps.leaderboard.models import Chart, DailyRating, Snapshot
from apps.leaderboard.selectors import BoardRow, audience_of, board_seen

HISTORY_DAYS = 365
SPEED_DAYS = 30
AUDIENCES = (Actor(), Actor(is_installation=True))
"""Visitors, and those who are signed in: no others see other models."""


class Median(Aggregate):
    """Source: PostgreSQL documentation, "Ordered-Set Aggregate Functions"."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@transaction.atomic
def charts_draw(arena: Arena) -> int:
    """Draw what is missing or has changed of the newest board, for everybody, and say how many charts that was.

    The charts of older boards go: their boards stay, and a chart can be drawn again.
    """
    snapshot = Snapshot.objects.filter(arena=arena).defer("votes").first()
    if snapshot is None:
        return 0
    actors = {audience_of(actor, snapshot): actor for actor in AUDIENCES}
    n_drawn = sum(_draw_for(snapshot, audience, actor) for audience, actor in actors.items())
    outdated = Chart.objects.filter(snapshot__arena=arena).exclude(snapshot=snapshot, audience__in=actors)
    outdated.delete()
    return n_drawn


def _draw_for(snapshot: Snapshot, audience: str, actor: Actor) -> int:
    made = figures(told(snapshot, actor))
    drawn = dict(Chart.objects.filter(snapshot=snapshot, audience=audience).values_list("kind", "digest"))
    wanted = [figure for figure in made if drawn.get(figure.kind) != _digest(figure)]
    charts = [_chart(snapshot, audience, figure) for figure in wanted]
    kept = [figure.kind for figure in made]
    Chart.objects.filter(snapshot=snapshot, audience=audience).exclude(kind__in=kept).delete()
    Chart.objects.bulk_create(
        charts,
        update_conflicts=True,
        unique_fields=["snapshot", "audience", "kind"],
        update_fields=["digest", "summary", "svg", "table", "data"],
    )
    return len(charts)


def _chart(snapshot: Snapshot, audience: str, figure: Figure) -> Chart:
    return Chart(
        snapshot=snapshot,
        audience=audience,
        kind=figure.kind.value,
        digest=_digest(figure),
        summary=figure.summary,
        svg=draw(figure.spec),
        table={"head": figure.head, "cells": figure.cells},
        data={"columns": figure.columns, "rows": figure.rows},
    )


def _digest(figure: Figure) -> str:
    return hashlib.sha256(f"{VERSION} {json.dumps(asdict(figure), sort_keys=True)}".encode()).hexdigest()


def told(snapshot: Snapshot, actor: Actor) -> Told:
    """What of a board may be drawn for an actor."""
    rows = [row for row in board_seen(actor, snapshot).rows if row.rating is not None]
    contestants = Contestant.objects.filter(pk__in=[row.contestant_pk for row in rows]).select_related("model")
    by_pk = {contestant.pk: contestant for contestant in contestants}
    speeds, names = _speeds(by_pk), _names(rows)
    models = tuple(_shown(row, names[row.key], by_pk[row.contestant_pk], speeds) for row in rows)
    keys = {row.contestant_pk: row.key for row in rows}
    return Told(models, _met(snapshot, {row.key for row in rows}), _past(snapshot, keys))


def _names(rows: Iterable[BoardRow]) -> dict[str, str]:
    """What people read; where two have one name, with the name in votes."""
    rows = list(rows)
    n_named = Counter(row.name for row in rows)
    return {row.key: row.name if n_named[row.name] == 1 else f"{row.name} ({row.key})" for row in rows}


def _shown(row: BoardRow, name: str, contestant: Contestant, speeds: dict[int, float]) -> Shown:
    assert row.rating is not None and row.lower is not None and row.upper is not None and row.rank is not None  # noqa: S101
    model = contestant.model
    return Shown(
        row.key,
        name,
        row.rating,
        row.lower,
        row.upper,
        row.rank,
        row.votes,
        price=float(model.output_price) if model else None,
        tokens_per_s=speeds.get(row.contestant_pk),
    )


def _speeds(contestants: Iterable[int]) -> dict[int, float]:
    since = timezone.now() - timedelta(days=SPEED_DAYS)
    answers = Side.objects.filter(
        contestant__in=list(contestants),
        conversation__generations__state=GenerationState.COMPLETE,
        conversation__generations__created_at__gte=since,
        conversation__generations__tokens_per_s__isnull=False,
    )
    medians = answers.values("contestant").annotate(median=Median(F("conversation__generations__tokens_per_s")))
    return {row["contestant"]: round(row["median"], 1) for row in medians}


def _met(snapshot: Snapshot, keys: set[str]) -> tuple[Met, ...]:
    """None of a board that was made before pairs were kept."""
    names = snapshot.pairs.get("names", [])
    pairs = (Met(names[first], names[second], *ended) for first, second, *ended in snapshot.pairs.get("pairs", []))
    return tuple(met for met in pairs if {met.first, met.second} <= keys)


def _past(snapshot: Snapshot, keys: dict[int, str]) -> tuple[Past, ...]:
    since = snapshot.created_at.date() - timedelta(days=HISTORY_DAYS)
    found = DailyRating.objects.filter(contestant__in=list(keys), day__gt=since).order_by("day", "pk")
    return tuple(Past(keys[row.contestant_id], row.day, row.rating, row.lower, row.upper) for row in found)
