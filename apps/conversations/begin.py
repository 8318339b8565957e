"""From a frame to a stored turn: whether it may be sent at all is asked first, then the gate reads its texts."""

from functools import partial
from typing import assert_never
from uuid import UUID, uuid4

from apps.accounts.actors import Actor
from apps.conversations.chat_settings import ChatSettings, settings_parse
from apps.conversations.frames import TurnAlone, TurnBeside, TurnContinue, TurnEdit, TurnRegenerate, TurnSend
from apps.conversations.services.beside import Said, models_beside, turn_beside, turn_regenerate_beside
from apps.conversations.services.beside import TurnBeside as StoredBeside
from apps.conversations.services.turns import (
    Turn,
    turn_check,
    turn_continue,
    turn_edit,
    turn_start,
)
from apps.conversations.setup import settings_pass
from apps.core.threads import in_thread
from apps.moderation.choices import Surface
from apps.moderation.gate import text_pass


async def turn_begin(actor: Actor, frame: TurnAlone) -> Turn:
    """Raises: what the service of this turn raises, SettingRefused, TextRefused."""
    match frame:
        case TurnSend():
            return await _said(actor, frame)
        case TurnEdit():
            new_id = uuid4()
            text = await _passed(actor, frame, new_id)
            edit = partial(turn_edit, message_id=frame.message, model_name=frame.model, text=text, new_id=new_id)
            return await in_thread(edit, actor=actor, conversation_id=frame.conversation)
        case TurnRegenerate():
            again = partial(turn_regenerate_beside, message_id=frame.message, model_name=frame.model)
            return await in_thread(again, actor=actor, conversation_id=frame.conversation)
        case TurnContinue():
            go_on = partial(turn_continue, message_id=frame.message)
            return await in_thread(go_on, actor=actor, conversation_id=frame.conversation)
        case _:
            assert_never(frame)


async def _said(actor: Actor, frame: TurnSend) -> Turn:
    said, settings = await _looked_at(actor, frame)
    start = partial(
        turn_start,
        model_name=frame.model,
        text=said.text,
        new_id=said.message_id,
        new_chat_id=said.chat_id,
        settings=settings,
        leaf_id=frame.leaf,
    )
    return await in_thread(start, actor=actor, conversation_id=frame.conversation)


async def beside_begin(actor: Actor, frame: TurnBeside) -> StoredBeside:
    """Raises: what `services.beside.turn_beside` raises, SettingRefused, TextRefused."""
    await in_thread(models_beside, actor, frame.models, frame.leaves)
    said, settings = await _looked_at(actor, frame)
    start = partial(
        turn_beside,
        model_names=frame.models,
        said=said,
        settings=settings,
        leaf_id=frame.leaf,
        leaf_ids=frame.leaves,
    )
    return await in_thread(start, actor=actor, conversation_id=frame.conversation)


async def _looked_at(actor: Actor, frame: TurnSend | TurnBeside) -> tuple[Said, ChatSettings | None]:
    """The text, however many models will read it, and the settings of a chat that begins with it."""
    settings: ChatSettings | None = None
    # An old chat keeps its own settings.
    if frame.settings is not None and frame.conversation is None:
        settings = settings_parse(frame.settings)
    new_id, new_chat_id = uuid4(), uuid4()
    text = await _passed(actor, frame, new_id)
    if settings is not None:
        settings = await settings_pass(actor, settings, reference=str(new_chat_id))
    return Said(text, new_id, new_chat_id), settings


async def _passed(actor: Actor, frame: TurnSend | TurnBeside | TurnEdit, new_id: UUID) -> str:
    """Look at a text that may be sent here, by whoever it is and as long as it is.

    `new_id`: of the message that it will be, so that what is found leads there.
    """
    model_name = frame.models[0] if isinstance(frame, TurnBeside) else frame.model
    check = partial(turn_check, model_name=model_name, text=frame.text)
    message_id = frame.message if isinstance(frame, TurnEdit) else None
    await in_thread(check, actor=actor, conversation_id=frame.conversation, message_id=message_id)
    return await text_pass(frame.text, surface=Surface.CHAT, actor=actor, reference=str(new_id))
