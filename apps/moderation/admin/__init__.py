"""Admin pages of moderation."""

from apps.moderation.admin import bans, incidents, rules

__all__ = ["bans", "incidents", "rules"]
