"""What a chat is set to, and a person's presets, as the panel shows them."""

from typing import TypedDict
from uuid import UUID, uuid4

from apps.accounts.actors import Actor
from apps.conversations.chat_settings import ChatSettings, settings_fields
from apps.conversations.models import Conversation, Preset


class PresetShown(TypedDict):
    """A preset as the page's script gets it; `fields` are the texts of the form."""

    id: str
    name: str
    fields: dict[str, str]


def settings_of(chat: Conversation | Preset) -> ChatSettings:
    return ChatSettings(chat.system_prompt, chat.sampling)


def presets_list(actor: Actor) -> list[PresetShown]:
    """By name; none for visitors."""
    if actor.user_id is None:
        return []
    presets = Preset.objects.filter(user_id=actor.user_id).order_by("name")
    return [
        {"id": str(preset.public_id), "name": preset.name, "fields": settings_fields(settings_of(preset))}
        for preset in presets
    ]


def preset_id_of(user_id: int, name: str) -> UUID:
    """Of the preset of this name, or for the one that will be."""
    kept = Preset.objects.filter(user_id=user_id, name=name)
    return kept.values_list("public_id", flat=True).first() or uuid4()
