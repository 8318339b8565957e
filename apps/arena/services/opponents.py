"""The two of a battle: chosen by name, drawn, or those of the battle before. Writes nothing."""

from dataclasses import dataclass
from random import Random
from uuid import UUID

from apps.accounts.actors import Actor
from apps.arena import pairing, selectors
from apps.arena.errors import (
    AlreadyRevealed,
    BattleFollowed,
    BattleNotFound,
    BattleNotRevealed,
    BattleWhole,
    ChoiceMissing,
    NobodySees,
    NoOpponents,
    is_own_limit,
)
from apps.arena.models import Arena, Battle, Contestant, Follows, Pairing
from apps.arena.selectors import TurnState
from apps.conversations.models import GenerationState

Two = tuple[Contestant, Contestant]
"""A and B."""

Choice = tuple[UUID, UUID] | None
"""By name, A's first; without it the two are drawn."""


@dataclass(frozen=True, slots=True)
class Following:
    """Out of which battle the new one comes, and how."""

    previous: Battle
    how: Follows | None


def following_check(arena: Arena, choice: Choice, following: Following | None) -> None:
    """Whether a battle may come out of the one before, whose row is held.

    A blind one must not bring back somebody whose name was told, and a rematch tells who its two are.

    Raises: BattleNotFound, ChoiceMissing, BattleNotRevealed, AlreadyRevealed, BattleFollowed.
    """
    if following is None:
        return
    previous, follows = following.previous, following.how
    if previous.arena_id != arena.pk:
        raise BattleNotFound
    if choice is None and not previous.is_anonymous and follows is not Follows.REMATCH:
        raise ChoiceMissing
    if follows is Follows.REMATCH and previous.is_anonymous and previous.revealed_at is None:
        raise BattleNotRevealed
    if follows is Follows.NEW_OPPONENT and choice is None:
        if previous.revealed_at is not None:
            raise AlreadyRevealed
        if previous.next.filter(follows=Follows.NEW_OPPONENT, is_anonymous=True).exists():
            raise BattleFollowed


def two_find(
    actor: Actor, arena: Arena, choice: Choice, following: Following | None, random: Random, *, must_see: bool = False
) -> Two:
    """`must_see`: they are shown images. Raises: NoOpponents, NobodySees, ContestantUnknown, BattleWhole."""
    if choice is not None:
        return selectors.contestants_chosen(actor, arena, choice)
    ready = list(selectors.contestants_ready(actor, arena))
    if must_see:
        ready = [contestant for contestant in ready if contestant.model is not None and contestant.model.sees_images]
    try:
        return _two_of(arena, ready, following, random)
    except NoOpponents as exc:
        if must_see:
            raise NobodySees from exc
        raise


def _two_of(arena: Arena, ready: list[Contestant], following: Following | None, random: Random) -> Two:
    match following:
        case Following(previous, Follows.REMATCH):
            return _same_two(ready, previous, random)
        case Following(previous, Follows.NEW_OPPONENT):
            return _with_new_opponent(ready, previous, random)
    return _drawn(arena, ready, random)


def _drawn(arena: Arena, ready: list[Contestant], random: Random, *, keeping: int | None = None) -> Two:
    n_met = selectors.n_met(arena) if arena.pairing == Pairing.ADAPTIVE else None
    try:
        pair = pairing.draw([contestant.entrant for contestant in ready], random, n_met=n_met, keeping=keeping)
    except pairing.NobodyToMeet as exc:
        raise NoOpponents from exc
    by_key = {contestant.pk: contestant for contestant in ready}
    return by_key[pair[0]], by_key[pair[1]]


def _same_two(ready: list[Contestant], previous: Battle, random: Random) -> Two:
    by_key = {contestant.pk: contestant for contestant in ready}
    one, other = (side.contestant_id for side in selectors.sides_get(previous))
    if one not in by_key or other not in by_key:
        raise NoOpponents
    left, right = pairing.sides((one, other), random)
    return by_key[left], by_key[right]


def _with_new_opponent(ready: list[Contestant], previous: Battle, random: Random) -> Two:
    """Whoever failed is left out, if somebody else can be met: of two alone, both get another chance."""
    failed = _failed(previous)
    survivors = [side.contestant_id for side in selectors.sides_get(previous) if side.contestant_id not in failed]
    keeping = survivors[0] if len(survivors) == 1 else None
    others = [contestant for contestant in ready if contestant.pk not in failed]
    try:
        return _drawn(previous.arena, others, random, keeping=keeping)
    except NoOpponents:
        return _drawn(previous.arena, ready, random)


def _failed(previous: Battle) -> set[int]:
    """Those who could not answer, though the voter's own limits allowed it. Raises: BattleWhole."""
    sides = selectors.sides_get(previous)
    last = selectors.last_turn_get(sides)
    if last is None or last.state is not TurnState.FAILED:
        raise BattleWhole
    return {
        side.contestant_id
        for side, generation in zip(sides, last.generations, strict=True)
        if generation.state == GenerationState.FAILED and not is_own_limit(generation.error_code)
    }
