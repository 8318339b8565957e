"""Votes: one for each battle, after both have ended and before the names are told. Each says whether it counts."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.arena import selectors
from apps.arena.errors import AlreadyRevealed, AlreadyVoted
from apps.arena.evidence import evidence_get
from apps.arena.integrity import Assessment, assess
from apps.arena.models import Battle, Integrity, Side, Verdict, Vote
from apps.arena.services.battles import battle_lock, turn_require_ended

NAMED = Assessment(counts=True, weight=1.0, reasons=())
"""Of a battle of two chosen by name: there is nothing to give away, and its votes are kept apart."""


def vote_cast(*, actor: Actor, battle_id: UUID, verdict: Verdict) -> Vote:
    """Store the verdict and tell the names, in one step: names that are told before could still be voted on.

    Raises: BattleNotFound, AlreadyVoted, AlreadyRevealed; BattleNotReady, BattleFailed.
    """
    try:
        with transaction.atomic():
            battle = battle_lock(actor, battle_id)
            if Vote.objects.filter(battle=battle).exists():
                raise AlreadyVoted
            if battle.revealed_at is not None:
                raise AlreadyRevealed
            sides = selectors.sides_get(battle)
            turn_require_ended(sides)
            vote = _vote_create(battle, sides, verdict)
            battle.revealed_at = timezone.now()
            battle.save(update_fields=["revealed_at"])
    except IntegrityError as exc:
        raise AlreadyVoted from exc
    return vote


def vote_overrule(*, vote: Vote, decision: Integrity | None, why: str, admin: User) -> None:
    """Decide whether a vote counts, against what was found or with it; None takes an earlier decision back."""
    vote.overruled = decision or ""
    vote.overruled_why = why
    vote.overruled_by = admin
    vote.overruled_at = timezone.now()
    vote.save(update_fields=["overruled", "overruled_why", "overruled_by", "overruled_at"])


def _vote_create(battle: Battle, sides: tuple[Side, Side], verdict: Verdict) -> Vote:
    found = assess(evidence_get(battle, sides, verdict, timezone.now())) if battle.is_anonymous else NAMED
    return Vote.objects.create(
        battle=battle,
        verdict=verdict,
        n_turns=battle.n_turns,
        integrity=Integrity.COUNTED if found.counts else Integrity.NOT_COUNTED,
        reasons=list(found.reasons),
        weight=found.weight,
    )
