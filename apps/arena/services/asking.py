"""What doors call to begin a battle or go on with it: permission and size first, then the gate, then the rows.

Reading of both answers begins before anybody hears of the turn, so that a door that goes away delays nothing.
"""

from dataclasses import replace
from random import SystemRandom
from uuid import UUID, uuid4

from apps.accounts.actors import Actor
from apps.arena import selectors
from apps.arena.models import Follows
from apps.arena.services import battles
from apps.arena.services.battles import BattleTurn, Opening
from apps.conversations.image_marks import image_ids
from apps.conversations.live.registry import reader_of
from apps.conversations.selectors.images import urls_of_marked
from apps.conversations.services.sides import sides_reserve
from apps.core.threads import in_thread
from apps.moderation.choices import Surface
from apps.moderation.gate import looks, text_pass
from apps.moderation.images import images_pass


async def battle_open(*, actor: Actor, opening: Opening) -> BattleTurn:
    """Begin. For a new opponent the text is that of the battle before. Raises: as `battle_start`; TextRefused."""
    if opening.follows is Follows.NEW_OPPONENT and opening.previous is not None:
        opening = replace(opening, text=await in_thread(_first_text, actor, opening.previous))
    await in_thread(battles.opening_check, actor=actor, opening=opening)
    new_id = uuid4()  # an incident is found by it
    opening = replace(opening, text=await _passed(actor, opening.text, reference=str(new_id)), new_id=new_id)
    return await _begun(await in_thread(battles.battle_start, actor=actor, opening=opening, random=SystemRandom()))


async def battle_continue(*, actor: Actor, battle_id: UUID, text: str, turn: int | None = None) -> BattleTurn:
    """Go on. `turn`: as in `battle_send`. Raises: as `battle_send`; TextRefused."""
    await in_thread(battles.message_check, actor=actor, battle_id=battle_id, text=text)
    text = await _passed(actor, text, reference=str(battle_id))
    return await _begun(await in_thread(battles.battle_send, actor=actor, battle_id=battle_id, text=text, turn=turn))


async def battle_halt(*, actor: Actor, battle_id: UUID) -> None:
    """Stop both. Raises: BattleNotFound."""
    for generation_id in await in_thread(battles.battle_stop, actor=actor, battle_id=battle_id):
        reader_of(generation_id).stop()


async def _passed(actor: Actor, text: str, *, reference: str) -> str:
    """The text as it may go on, with its images. Raises: TextRefused, ImageNotAccepted."""
    if image_ids(text) and await looks():
        urls = await in_thread(urls_of_marked, actor, text)
        await images_pass(urls, surface=Surface.ARENA, actor=actor, reference=reference)
    return await text_pass(text, surface=Surface.ARENA, actor=actor, reference=reference)


def _first_text(actor: Actor, battle_id: UUID) -> str:
    return battles.first_message_get(selectors.battle_get(actor, battle_id))


async def _begun(turn: BattleTurn) -> BattleTurn:
    a, b = (generation.public_id for generation in turn.generations)
    await sides_reserve((a, b))
    reader_of(a)
    reader_of(b)
    return turn
