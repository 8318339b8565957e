"""What a person sets and names, on its way in: the gate reads a system prompt as it reads a message, and names too.

Out of a name nothing is taken: it passes as it is, or is refused.
"""

from collections.abc import Sequence
from dataclasses import replace

from apps.accounts.actors import Actor
from apps.conversations.chat_settings import ChatSettings
from apps.moderation.choices import Surface
from apps.moderation.gate import texts_pass


async def settings_pass(actor: Actor, settings: ChatSettings, *, reference: str) -> ChatSettings:
    """The settings as they may be used. Raises: TextRefused."""
    prompts = [settings.system_prompt] if settings.system_prompt else []
    stops = settings.sampling.get("stop", ())
    passed = await texts_pass(prompts, surface=Surface.CHAT, actor=actor, fixed=stops, reference=reference)
    return replace(settings, system_prompt=passed[0]) if passed else settings


async def names_pass(actor: Actor, names: Sequence[str], *, reference: str) -> None:
    """Of chats, folders and presets, as they would be stored. Raises: TextRefused."""
    named = [name for name in names if name]
    await texts_pass([], surface=Surface.CHAT, actor=actor, fixed=named, reference=reference)
