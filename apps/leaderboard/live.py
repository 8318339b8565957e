"""Online Elo: a number that moves with each vote, as FastChat's does. It depends on their order; boards do not."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.accounts.actors import Actor
from apps.arena.models import Arena, Contestant, Position, Side, Verdict, Vote
from apps.arena.pages import contestant_told
from apps.leaderboard.models import LiveRating
from apps.leaderboard.rating.elo import K, elo_updated
from apps.leaderboard.selectors import is_hidden, models_seen

_SCORES = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5, Verdict.BOTH_BAD: 0.5}
"""What A got of a battle."""


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A contestant as it stands now."""

    contestant: Contestant
    name: str
    rating: float
    n_votes: int
    since: datetime


@transaction.atomic
def vote_follow(vote: Vote) -> None:
    """Move both ratings by a new vote that counts and was blind. In the vote's transaction: no vote is left out.

    What an admin decides later changes boards and not these numbers. A vote that weighs less moves them less.
    """
    if not vote.counts or not vote.battle.is_anonymous or vote.weight == 0:
        return
    sides = {side.position: side.contestant_id for side in Side.objects.filter(battle=vote.battle)}
    a, b = sides[Position.A], sides[Position.B]
    LiveRating.objects.bulk_create(
        [LiveRating(contestant_id=contestant) for contestant in sorted((a, b))], ignore_conflicts=True
    )
    # In one order for everybody, so that two votes never wait for one another.
    rows = LiveRating.objects.select_for_update().filter(contestant__in=(a, b)).order_by("contestant")
    ratings = {row.contestant_id: row for row in rows}
    of_a, of_b = ratings[a], ratings[b]
    k = K * vote.effective_weight
    of_a.rating, of_b.rating = elo_updated(of_a.rating, of_b.rating, _SCORES[Verdict(vote.verdict)], k=k)
    for row in (of_a, of_b):
        row.n_votes += 1
    LiveRating.objects.bulk_update((of_a, of_b), ["rating", "n_votes"])


def live_rows(actor: Actor, arena: Arena) -> list[LiveRow]:
    """From the highest on. One that this actor may not see is left out, and so is one whose model was deleted."""
    visible = models_seen(actor)
    found = LiveRating.objects.filter(contestant__arena=arena, contestant__model__isnull=False)
    rows = found.select_related("contestant__model").order_by("-rating", "contestant__name")
    return [
        LiveRow(row.contestant, contestant_told(row.contestant).name, row.rating, row.n_votes, row.created_at)
        for row in rows
        if not is_hidden(row.contestant, visible)
    ]
