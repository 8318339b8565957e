"""Reads of the arena. Whose a battle is is part of every query a person asks: somebody else's is not found."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db.models import Count, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.selectors import key_model_names
from apps.arena.errors import ArenaNotFound, BattleNotFound, ContestantUnknown
from apps.arena.live.pacing import Written, whole_at_s
from apps.arena.models import Arena, ArenaKind, Battle, Contestant, Position, Side
from apps.arena.spoken import spoken
from apps.catalog.models import Kind, Visibility
from apps.catalog.selectors import models_visible
from apps.conversations.models import UNFINISHED, Generation, GenerationState
from apps.workers.selectors import model_ids_ready

MET_MAX_BATTLES = 100_000
"""Adaptive pairing looks at so many battles, the newest ones."""

RECENT_MAX = 10


class TurnState(StrEnum):
    """How the last turn of a battle stands."""

    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LastTurn:
    """The two generations of a battle's last turn, A's first, and how they stand together."""

    state: TurnState
    generations: tuple[Generation, Generation]


def arenas_visible(actor: Actor) -> QuerySet[Arena]:
    """Those that this actor may enter, the closed ones too."""
    may = Q(kind=ArenaKind.PUBLIC)
    if actor.is_authenticated:
        may |= Q(kind=ArenaKind.TEAM, groups=None)
    if actor.user_id is not None:
        may |= Q(kind=ArenaKind.TEAM, groups__user=actor.user_id) | Q(kind=ArenaKind.PRIVATE, members=actor.user_id)
    return Arena.objects.filter(pk__in=Arena.objects.filter(may).values("pk"))


def arena_get(actor: Actor, slug: str) -> Arena:
    """Raises: ArenaNotFound, also when it is not for this actor."""
    arena = arenas_visible(actor).filter(slug=slug).first()
    if arena is None:
        raise ArenaNotFound
    return arena


def contestants_ready(actor: Actor, arena: Arena) -> QuerySet[Contestant]:
    """Who may be met now: not retired, in no outage, and with a worker that has the model.

    A hidden model is met where an admin entered it; one for members by those who are signed in, whoever entered it.
    """
    entered = Q(is_automatic=False)
    if not actor.is_authenticated:
        entered &= ~Q(model__visibility=Visibility.MEMBERS)
    seen = entered | Q(model__in=models_visible(actor))
    if names := key_model_names(actor):
        seen &= Q(model__name__in=names)
    return (
        Contestant.objects.filter(seen, arena=arena, is_available=True, model__kind=Kind.TEXT)
        .filter(Q(retired_at=None) | Q(retired_at__gt=timezone.now()), model__in=model_ids_ready())
        .select_related("model")
        .prefetch_related("targets")
        .order_by("pk")
    )


def contestants_by_name(actor: Actor, arena: Arena) -> QuerySet[Contestant]:
    """Who may be chosen by name."""
    return contestants_ready(actor, arena).filter(is_anonymous_only=False).order_by("name")


def contestants_chosen(actor: Actor, arena: Arena, ids: tuple[UUID, UUID]) -> tuple[Contestant, Contestant]:
    """Raises: ContestantUnknown."""
    found = {contestant.public_id: contestant for contestant in contestants_by_name(actor, arena)}
    if ids[0] == ids[1] or not found.keys() >= set(ids):
        raise ContestantUnknown
    return found[ids[0]], found[ids[1]]


def n_met(arena: Arena) -> Counter[frozenset[int]]:
    """How often each two have met in anonymous battles that have a vote: the database counts."""
    newest = Battle.objects.filter(arena=arena, is_anonymous=True, vote__isnull=False).order_by("-pk")[:MET_MAX_BATTLES]
    of_pairs = (
        Battle.objects.filter(pk__in=newest.values("pk"))
        .annotate(
            a=FilteredRelation("sides", condition=Q(sides__position=Position.A)),
            b=FilteredRelation("sides", condition=Q(sides__position=Position.B)),
        )
        .values_list("a__contestant", "b__contestant")
        .annotate(n=Count("pk"))
        .order_by()
    )
    met: Counter[frozenset[int]] = Counter()
    for a, b, n in of_pairs:
        met[frozenset((a, b))] += n
    return met


def battles_owned(actor: Actor) -> QuerySet[Battle]:
    """The actor's own battles; none for somebody unknown. A key that is for some models sees only what it began."""
    if actor.user_id is not None:
        theirs = Battle.objects.filter(user_id=actor.user_id)
        return theirs.filter(api_key_id=actor.api_key_id) if key_model_names(actor) else theirs
    if actor.api_key_id is not None:
        return Battle.objects.filter(user=None, api_key_id=actor.api_key_id)
    if actor.visitor_public_id is not None:
        return Battle.objects.filter(visitor__public_id=actor.visitor_public_id)
    return Battle.objects.none()


def battles_recent(actor: Actor, arena: Arena) -> QuerySet[Battle]:
    """The newest few of the actor's battles there, each with its first words as `title`, as far as they are kept."""
    title = Side.objects.filter(battle=OuterRef("pk"), position=Position.A).values("conversation__title")
    of_arena = battles_owned(actor).filter(arena=arena).annotate(title=Subquery(title[:1]))
    return of_arena.exclude(title=None).order_by("-pk")[:RECENT_MAX]


def battle_get(actor: Actor, battle_id: UUID) -> Battle:
    """Raises: BattleNotFound, also when it is somebody else's."""
    battle = battles_owned(actor).select_related("arena", "vote").filter(public_id=battle_id).first()
    if battle is None:
        raise BattleNotFound
    return battle


def sides_get(battle: Battle) -> tuple[Side, Side]:
    """A and B, with contestants, models and conversations."""
    sides = {side.position: side for side in battle.sides.select_related("contestant__model", "conversation")}
    return sides[Position.A], sides[Position.B]


def last_turn_get(sides: tuple[Side, Side]) -> LastTurn | None:
    """How the last turn stands; None when the texts of the battle were erased."""
    leaves = [
        side.conversation.active_leaf_id for side in sides if side.conversation and side.conversation.active_leaf_id
    ]
    of_leaves = Generation.objects.filter(message_id__in=leaves).select_related("message")
    found = {generation.message_id: generation for generation in of_leaves}
    generations = [found.get(leaf) for leaf in leaves]
    match generations:
        case [Generation() as a, Generation() as b]:
            return LastTurn(_state_of(sides[0].battle, a, b), (a, b))
    return None


def written_get(generation_ids: tuple[UUID, UUID]) -> tuple[Written, Written]:
    """When and how much the two of a turn have written, who have both ended; A's first.

    Raises: BattleNotFound, when they were erased meanwhile.
    """
    rows = Generation.objects.filter(public_id__in=generation_ids).select_related("message")
    found = {generation.public_id: generation for generation in rows}
    if len(found) < len(generation_ids):
        raise BattleNotFound
    a, b = (found[generation_id] for generation_id in generation_ids)
    return written_of(a), written_of(b)


def written_of(generation: Generation) -> Written:
    """Of one that has ended."""
    assert generation.finished_at is not None  # noqa: S101  # it is written with the end
    text = generation.message.content
    return Written(
        began_s=began_at(generation).timestamp(),
        ended_s=generation.finished_at.timestamp(),
        n_chars=len(spoken(text)),
        n_written=len(text),
        was_stopped=generation.state == GenerationState.STOPPED,
    )


def began_at(generation: Generation) -> datetime:
    """When it wrote its first word; nobody sees a word of either side before both have."""
    return generation.created_at + timedelta(milliseconds=generation.ttft_ms or 0)


def _state_of(battle: Battle, *generations: Generation) -> TurnState:
    # One failure ends the turn: the other side is stopped, and what it wrote is judged by nobody.
    if any(generation.state == GenerationState.FAILED for generation in generations):
        return TurnState.FAILED
    if any(generation.state in UNFINISHED for generation in generations):
        return TurnState.RUNNING
    if battle.is_blind and timezone.now().timestamp() < whole_at_s(*map(written_of, generations)):
        return TurnState.RUNNING  # a rest that is there and may not be seen yet is not there for anybody
    return TurnState.ENDED
