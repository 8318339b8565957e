"""A chat's settings on their way in: the gate reads a system prompt as it reads a message."""

from dataclasses import replace

from apps.accounts.actors import Actor
from apps.conversations.chat_settings import ChatSettings
from apps.moderation.choices import Surface
from apps.moderation.gate import text_pass


async def settings_pass(actor: Actor, settings: ChatSettings, *, reference: str) -> ChatSettings:
    """The settings as they may be used. Raises: TextRefused."""
    if not settings.system_prompt:
        return settings
    prompt = await text_pass(settings.system_prompt, surface=Surface.CHAT, actor=actor, reference=reference)
    return replace(settings, system_prompt=prompt)
