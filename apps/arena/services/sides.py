"""The two sides of a battle: made, asked, stopped and deleted together. Whose the battle is, `battles` asks."""

from uuid import UUID

from apps.arena.errors import BattleFailed
from apps.arena.models import Battle, Position, Side
from apps.arena.services.opponents import Two
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.models import UNFINISHED, Conversation, Generation
from apps.conversations.services.generations import generation_request_stop
from apps.conversations.services.sides import SideOwner, side_ask, side_create


def sides_create(battle: Battle, two: Two, text: str) -> tuple[Side, Side]:
    """A and B, with a conversation each, named after the first message."""
    owner = SideOwner(battle.user_id, battle.visitor_id, battle.api_key_id)
    a, b = (
        Side.objects.create(
            battle=battle,
            position=position,
            contestant=contestant,
            conversation=side_create(
                owner, text=text, settings=ChatSettings(contestant.system_prompt, contestant.sampling)
            ),
        )
        for position, contestant in zip((Position.A, Position.B), two, strict=True)
    )
    return a, b


def side_speak(side: Side, text: str) -> Generation:
    """Add a message and the empty answer to it. Raises: BattleFailed."""
    model = side.contestant.model
    if model is None or side.conversation is None:
        raise BattleFailed  # the model was deleted: nobody can go on for it
    return side_ask(conversation=side.conversation, model=model, text=text).generation


def other_side_stop(generation_id: UUID) -> None:
    """Ask for the end of what the other side of a battle writes: one side has ended early, so nobody will judge it."""
    others = Generation.objects.filter(
        conversation__side__battle__sides__conversation__generations__public_id=generation_id
    )
    for other in others.exclude(public_id=generation_id).filter(state__in=UNFINISHED):
        generation_request_stop(other.public_id)


def battle_texts_delete(conversation: Conversation) -> None:
    """Delete what the other side of a battle has said, because this one is being deleted. The battle's row stays."""
    battles = list(Side.objects.filter(conversation=conversation).values_list("battle", flat=True))
    others = Conversation.objects.filter(side__battle__in=battles).exclude(pk=conversation.pk)
    other_pks = list(others.values_list("pk", flat=True))
    Side.objects.filter(battle__in=battles).update(conversation=None)
    Conversation.objects.filter(pk__in=other_pks).delete()
