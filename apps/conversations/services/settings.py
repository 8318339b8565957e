"""Settings of a chat, and presets: settings that a person keeps under a name for other chats."""

from uuid import UUID, uuid4

from django.db import transaction

from apps.accounts.actors import Actor
from apps.accounts.models import User
from apps.conversations.chat_settings import ChatSettings
from apps.conversations.errors import ChatNotFound, PresetNameWrong, SignInRequired, TooManyPresets
from apps.conversations.models import Conversation, Preset
from apps.conversations.selectors.conversations import conversation_get
from apps.conversations.selectors.held import kept_by
from apps.conversations.services.turns import require_may_chat
from apps.core.texts import clean_text
from apps.holds.selectors import not_held_require

PRESETS_MAX = 50
PRESET_NAME_MAX_CHARS = 80


def conversation_configure(*, actor: Actor, conversation_id: UUID, settings: ChatSettings) -> Conversation:
    """From the next answer on. The caller has let the system prompt pass the gate.

    Raises: SignInRequired, ChatNotFound; Held, if other instructions would take the place of those that are kept.
    """
    conversation = conversation_get(actor, conversation_id)
    require_may_chat(actor)
    if conversation.system_prompt != settings.system_prompt:
        not_held_require(kept_by(conversation))
    conversation.system_prompt = settings.system_prompt
    conversation.sampling = settings.sampling
    conversation.save(update_fields=["system_prompt", "sampling"])
    return conversation


def preset_save(*, actor: Actor, name: str, settings: ChatSettings, new_id: UUID | None = None) -> Preset:
    """Keep settings under a name; one of this name is replaced. The caller has let both pass the gate.

    `new_id`: under which they were looked at; a new preset has it.
    Raises: SignInRequired, PresetNameWrong, TooManyPresets; Held, if one would be replaced that is kept.
    """
    if actor.user_id is None:
        raise SignInRequired
    name = preset_name_checked(name)
    with transaction.atomic():
        # Of two at once the second one waits here, so that the limit holds.
        user = User.objects.select_for_update().get(pk=actor.user_id)
        others = Preset.objects.filter(user_id=actor.user_id).exclude(name=name)
        if others.count() >= PRESETS_MAX:
            raise TooManyPresets(limit=PRESETS_MAX)
        if Preset.objects.filter(user_id=actor.user_id, name=name).exists():
            not_held_require([user.public_id])
        kept = {"system_prompt": settings.system_prompt, "sampling": settings.sampling}
        preset, _ = Preset.objects.update_or_create(
            user_id=actor.user_id, name=name, defaults=kept, create_defaults=kept | {"public_id": new_id or uuid4()}
        )
    return preset


def preset_name_checked(name: str) -> str:
    """As it is stored. Raises: PresetNameWrong."""
    name = " ".join(clean_text(name).split())
    if not 0 < len(name) <= PRESET_NAME_MAX_CHARS:
        raise PresetNameWrong(limit=PRESET_NAME_MAX_CHARS)
    return name


def preset_delete(*, actor: Actor, preset_id: UUID) -> None:
    """Raises: ChatNotFound, also when it is somebody else's; Held."""
    if actor.user_id is None:
        raise ChatNotFound
    not_held_require([User.objects.values_list("public_id", flat=True).get(pk=actor.user_id)])
    deleted, _ = Preset.objects.filter(user_id=actor.user_id, public_id=preset_id).delete()
    if not deleted:
        raise ChatNotFound
