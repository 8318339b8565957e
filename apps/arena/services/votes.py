"""Votes: one for each battle, after both have ended and before the names are told. Each says whether it counts."""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.arena import selectors
from apps.arena.errors import AlreadyRevealed, AlreadyVoted, BattleChanged
from apps.arena.evidence import evidence_get
from apps.arena.integrity import Assessment, assess
from apps.arena.models import Battle, Integrity, Side, Verdict, Vote
from apps.arena.services.battles import battle_lock, taking_part_require, turn_require_ended
from apps.arena.services.networks import voters_network

NAMED = Assessment(counts=True, weight=1.0, reasons=())
"""Of a battle of two chosen by name: there is nothing to give away, and its votes are kept apart."""


def vote_cast(*, actor: Actor, battle_id: UUID, verdict: Verdict, turn: int | None = None, address: str = "") -> Vote:
    """Store the verdict and tell the names, in one step: names that are told before could still be voted on.

    `turn`: the last one that the voter has seen, where a page might show an older one. `address`: from where it came;
    of a visitor's a digest of the network is kept.

    Raises: SignInRequired, ArenaNotFound, BattleNotFound, AlreadyVoted, AlreadyRevealed; BattleNotReady, BattleFailed,
    BattleChanged.
    """
    battle = selectors.battle_get(actor, battle_id)
    taking_part_require(actor, battle)
    n_turns = battle.n_turns if turn is None else turn
    sides = _require_open(battle, n_turns)
    # Before the row is held: to look through long answers takes a while. They stay as they are until the next turn.
    network = voters_network(address) if battle.visitor_id is not None else ""
    found = _assessed(battle, sides, verdict, network)
    try:
        with transaction.atomic():
            battle = battle_lock(actor, battle_id)
            _require_open(battle, n_turns)
            vote = _vote_create(battle, verdict, found, network)
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


def _require_open(battle: Battle, n_turns: int) -> tuple[Side, Side]:
    if Vote.objects.filter(battle=battle).exists():
        raise AlreadyVoted
    if battle.revealed_at is not None:
        raise AlreadyRevealed
    sides = selectors.sides_get(battle)
    turn_require_ended(sides)
    if battle.n_turns != n_turns:
        raise BattleChanged
    return sides


def _assessed(battle: Battle, sides: tuple[Side, Side], verdict: Verdict, network: str) -> Assessment:
    if not battle.is_anonymous:
        return NAMED
    return assess(evidence_get(battle, sides, verdict, timezone.now(), network=network))


def _vote_create(battle: Battle, verdict: Verdict, found: Assessment, network: str) -> Vote:
    return Vote.objects.create(
        battle=battle,
        verdict=verdict,
        n_turns=battle.n_turns,
        integrity=Integrity.COUNTED if found.counts else Integrity.NOT_COUNTED,
        reasons=list(found.reasons),
        weight=found.weight,
        network=network,
    )
