"""The closed sets of moderation."""

from django.db import models


class Surface(models.TextChoices):
    """Where a text comes in."""

    CHAT = "chat", "Chat"
    API = "api", "API"
    ARENA = "arena", "Arena"


class Direction(models.TextChoices):
    """Whose text it is."""

    IN = "in", "What is sent"
    OUT = "out", "What a model answers"


class Action(models.TextChoices):
    """What is done about a finding."""

    ALLOW = "allow", "Allow"
    FLAG = "flag", "Allow, and write down an incident"
    REDACT = "redact", "Take out what was found"
    REFUSE = "refuse", "Refuse the text"


class Review(models.TextChoices):
    """What a moderator decided about an incident."""

    OPEN = "open", "Open"
    APPROVED = "approved", "Approved"
    REDACTED = "redacted", "Taken out"
    BLOCKED = "blocked", "Author blocked"
    BANNED = "banned", "Author banned"


class RuleKind(models.TextChoices):
    """How a rule looks at a text."""

    WORDS = "words", "Words"
    REGEX = "regex", "Regular expression"
    PERSONAL = "personal", "Personal data"
    LENGTH = "length", "Longest text"
    ONLY_LANGUAGES = "only_lang", "Any language but these"
    LANGUAGES = "languages", "These languages"
