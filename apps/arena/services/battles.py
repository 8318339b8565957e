"""Battles: draw two, give both the same messages, stop them, tell their names. Nothing is generated here.

Whoever changes a battle holds its row, so that a turn, a vote and a reveal that come at once happen one after another.
"""

from dataclasses import dataclass
from random import Random
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.accounts.actors import Actor
from apps.accounts.models import User, Visitor
from apps.arena import selectors
from apps.arena.errors import (
    ArenaClosed,
    BattleChanged,
    BattleFailed,
    BattleFollowed,
    BattleNotFound,
    BattleNotReady,
    BattleTooLong,
    ImageTooLate,
    SightLost,
)
from apps.arena.models import Battle, Follows, Side
from apps.arena.selectors import TurnState
from apps.arena.services import opponents
from apps.arena.services.opponents import Following
from apps.arena.services.sides import side_speak, sides_create
from apps.catalog.errors import ModelSeesNothing
from apps.conversations.image_marks import image_ids
from apps.conversations.models import Generation, Message, Role
from apps.conversations.services.generations import generation_request_stop
from apps.conversations.services.turns import require_may_chat, text_checked

MAX_TURNS = 50


@dataclass(frozen=True, slots=True)
class Opening:
    """A battle that somebody wants. `choice`: by name, A's first; without it the two are drawn."""

    arena: str
    text: str
    choice: tuple[UUID, UUID] | None = None
    previous: UUID | None = None
    follows: Follows | None = None
    new_id: UUID | None = None
    """Under which the text was looked at before; the battle has it."""


@dataclass(frozen=True, slots=True)
class BattleTurn:
    """What a turn stored. `number` counts from 1; A's generation comes first."""

    battle: Battle
    number: int
    text: str
    generations: tuple[Generation, Generation]


def opening_check(*, actor: Actor, opening: Opening) -> None:
    """Whether this actor may begin this battle: asked before anybody looks at the text.

    Raises: SignInRequired, EmptyMessage, MessageTooLong, ArenaNotFound, ArenaClosed.
    """
    _require_may_take_part(actor)
    if not selectors.arena_get(actor, opening.arena).is_open:
        raise ArenaClosed
    text_checked(opening.text)


def message_check(*, actor: Actor, battle_id: UUID, text: str) -> None:
    """Whether this actor may go on with this battle now: asked before anybody looks at the text.

    Raises: SignInRequired, EmptyMessage, MessageTooLong, BattleNotFound, BattleNotReady, BattleFailed, BattleTooLong.
    """
    battle = selectors.battle_get(actor, battle_id)
    taking_part_require(actor, battle)
    _require_goes_on(battle)
    text_checked(text)


def battle_start(*, actor: Actor, opening: Opening, random: Random) -> BattleTurn:
    """Find two contestants and give both the first message.

    Raises: what `opening_check` raises; NoOpponents, ContestantUnknown, BattleNotFound, and as `following_check`.
    """
    opening_check(actor=actor, opening=opening)
    text, arena = text_checked(opening.text), selectors.arena_get(actor, opening.arena)
    with transaction.atomic():
        # Held, so that its names are not told while the next battle is made of it.
        previous = None if opening.previous is None else battle_lock(actor, opening.previous)
        following = None if previous is None else Following(previous, opening.follows)
        opponents.following_check(arena, opening.choice, following)
        must_see = bool(image_ids(text))
        two = opponents.two_find(actor, arena, opening.choice, following, random, must_see=must_see)
        battle = Battle.objects.create(
            public_id=opening.new_id or uuid4(),
            arena=arena,
            is_anonymous=opening.choice is None and (previous is None or previous.is_anonymous),
            prompt_digest=_digest(text),
            previous=previous,
            follows=opening.follows or "",
            **_owner(actor),
        )
        return _turn_add(battle, sides_create(battle, two, text), text)


def battle_send(*, actor: Actor, battle_id: UUID, text: str, turn: int | None = None) -> BattleTurn:
    """Give both the next message, also after the vote: then it is no longer judged.

    `turn`: the last one that was seen, where a page might show an older one.

    Raises: what `message_check` raises; BattleChanged; of a blind battle ImageTooLate, SightLost, of another
    ModelSeesNothing.
    """
    text = text_checked(text)
    with transaction.atomic():
        battle = battle_lock(actor, battle_id)
        taking_part_require(actor, battle)
        if turn is not None and battle.n_turns != turn:
            raise BattleChanged
        sides = _require_goes_on(battle)
        if battle.is_blind and image_ids(text) and not image_ids(first_message_get(battle)):
            raise ImageTooLate
        try:
            return _turn_add(battle, sides, text)
        except ModelSeesNothing as exc:
            if battle.is_blind:
                raise SightLost from exc
            raise


def battle_stop(*, actor: Actor, battle_id: UUID) -> list[UUID]:
    """Ask for the end of both answers; return the generations that were still going on. Raises: BattleNotFound."""
    last = selectors.last_turn_get(selectors.sides_get(selectors.battle_get(actor, battle_id)))
    running = [] if last is None else [generation.public_id for generation in last.generations]
    return [generation_id for generation_id in running if generation_request_stop(generation_id)]


def battle_reveal(*, actor: Actor, battle_id: UUID) -> Battle:
    """Tell the names without a vote; from now on there can be none.

    Raises: SignInRequired, ArenaNotFound, BattleNotFound; BattleFollowed, while a blind battle came out of this one.
    """
    with transaction.atomic():
        battle = battle_lock(actor, battle_id)
        taking_part_require(actor, battle)
        if battle.next.filter(follows=Follows.NEW_OPPONENT, is_anonymous=True, revealed_at=None).exists():
            raise BattleFollowed
        Battle.objects.filter(pk=battle.pk, revealed_at=None).update(revealed_at=timezone.now())
    battle.refresh_from_db(fields=["revealed_at"])
    return battle


def taking_part_require(actor: Actor, battle: Battle) -> None:
    """Whether they may still be where it is fought: a page may be open for days.

    Raises: SignInRequired, ArenaNotFound.
    """
    _require_may_take_part(actor)
    selectors.arena_get(actor, battle.arena.slug)


def battles_adopt(*, user: User, visitor_public_id: UUID) -> int:
    """Give a visitor's battles to the account that this person signed in to; return how many."""
    return Battle.objects.filter(visitor__public_id=visitor_public_id).update(user=user, visitor=None)


def first_message_get(battle: Battle) -> str:
    """What the battle began with. Raises: BattleNotFound when it was erased."""
    message = Message.objects.filter(conversation__side__battle=battle, role=Role.USER).order_by("pk").first()
    if message is None:
        raise BattleNotFound
    return message.content


def battle_lock(actor: Actor, battle_id: UUID) -> Battle:
    """Hold the row until the transaction ends. Raises: BattleNotFound."""
    owned = selectors.battles_owned(actor).filter(public_id=battle_id)
    battle = owned.select_for_update(of=("self",)).first()
    if battle is None:
        raise BattleNotFound
    return battle


def turn_require_ended(sides: tuple[Side, Side]) -> None:
    """Raises: BattleNotFound when the texts were erased; BattleNotReady, BattleFailed."""
    last = selectors.last_turn_get(sides)
    if last is None:
        raise BattleNotFound
    match last.state:
        case TurnState.RUNNING:
            raise BattleNotReady
        case TurnState.FAILED:
            raise BattleFailed
        case TurnState.ENDED:
            return


def _require_may_take_part(actor: Actor) -> None:
    # A key was looked at when its request came in.
    if actor.api_key_id is None:
        require_may_chat(actor)


def _require_goes_on(battle: Battle) -> tuple[Side, Side]:
    sides = selectors.sides_get(battle)
    turn_require_ended(sides)
    if battle.n_turns >= MAX_TURNS:
        raise BattleTooLong(limit=MAX_TURNS)
    return sides


# --- Rows -------------------------------------------------------------------------------------------------------------


def _owner(actor: Actor) -> dict[str, object]:
    if actor.visitor_public_id is None:
        return {"user_id": actor.user_id, "api_key_id": actor.api_key_id}
    visitor, _ = Visitor.objects.get_or_create(public_id=actor.visitor_public_id)
    return {"visitor": visitor}


def _digest(text: str) -> str:
    """Without case and white space. Keyed, so that a short message cannot be guessed from it."""
    return salted_hmac("arena.prompt", " ".join(text.casefold().split()), algorithm="sha256").hexdigest()


def _turn_add(battle: Battle, sides: tuple[Side, Side], text: str) -> BattleTurn:
    a, b = (side_speak(side, text) for side in sides)
    battle.n_turns += 1
    battle.save(update_fields=["n_turns"])
    return BattleTurn(battle, battle.n_turns, text, (a, b))
