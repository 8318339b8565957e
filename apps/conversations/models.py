"""Conversations as trees of messages, and generations: the work of writing one assistant message."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Left
from django.utils import timezone

from apps.accounts.models import ApiKey, Visitor
from apps.catalog.models import LanguageModel
from apps.conversations.stored_images import ChatImage
from apps.workers.models import Worker

__all__ = ["ChatImage"]  # for Django, which looks for models here


class Purpose(models.TextChoices):
    """What a conversation is part of."""

    CHAT = "chat", "Chat"
    BATTLE_SIDE = "battle_side", "Side of a battle"


class Conversation(models.Model):
    """A tree of messages of one owner: a user, a visitor, or a program with a key that belongs to no user."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="conversations"
    )
    visitor = models.ForeignKey(Visitor, null=True, blank=True, on_delete=models.CASCADE, related_name="conversations")
    api_key = models.ForeignKey(
        ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="+", verbose_name="API key"
    )
    """With which a program asks; its user owns the conversation, or nobody else if it has none."""
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.CHAT)
    """The chat's doors open its own conversations alone: those of a battle would tell which model writes."""
    title = models.CharField(max_length=200)
    active_leaf = models.ForeignKey("Message", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """The last message of the path that is shown; its ancestors are the rest of it."""
    columns = ArrayField(models.BigIntegerField(), default=list, blank=True)
    """Keys of the last messages of branches that are shown side by side, `active_leaf` the first; empty: one is."""
    is_pinned = models.BooleanField(default=False)
    is_archived = models.BooleanField(default=False)
    """Kept out of the history, until somebody speaks in it again."""
    folder = models.CharField(max_length=80, blank=True)
    """By name: a folder is there as long as something is in it."""
    system_prompt = models.TextField(blank=True)
    sampling = models.JSONField(default=dict, blank=True)
    """Fields of a request to a worker that were set; see `chat_settings`."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField()
    """Time of the last message; orders the history."""

    class Meta:
        ordering = ["-updated_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, visitor=None)
                | Q(user=None, visitor__isnull=False)
                | Q(user=None, visitor=None, api_key__isnull=False),
                name="conversation_has_one_owner",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-updated_at"], name="conversation_user_recent"),
            models.Index(fields=["visitor", "-updated_at"], name="conversation_visitor_recent"),
            models.Index(
                fields=["user", "-is_pinned", "-updated_at"],
                condition=Q(is_archived=False),
                name="conversation_user_history",
            ),
            models.Index(
                fields=["visitor", "-is_pinned", "-updated_at"],
                condition=Q(is_archived=False),
                name="conversation_visitor_history",
            ),
            models.Index(fields=["user", "folder"], condition=~Q(folder=""), name="conversation_user_folder"),
            models.Index(fields=["visitor", "folder"], condition=~Q(folder=""), name="conversation_visitor_folder"),
        ]

    def __str__(self) -> str:
        # Not the title: that is a person's own words, and this ends up in logs and admin lists.
        return f"Conversation {str(self.public_id)[:8]}"


class Preset(models.Model):
    """Settings that a person keeps under a name, for other chats."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="presets")
    name = models.CharField(max_length=80)
    system_prompt = models.TextField(blank=True)
    sampling = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="preset_name_of_user")]

    def __str__(self) -> str:
        # Not the name: that is a person's own words.
        return f"Preset {str(self.public_id)[:8]}"


class Share(models.Model):
    """A chat as it was at a moment, for everyone who has the address."""

    token = models.CharField(max_length=64, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="shares")
    title = models.CharField(max_length=200)
    messages = models.JSONField()
    """The path that was shown: objects with `role`, `content`, `author`, `is_imported`, and `html` as a page shows it.
    Anybody may ask for that page, as often as they like: so nothing is left to be done for it."""
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        # Not the token: who has it can read the chat.
        return f"Share {self.pk}"


class Role(models.TextChoices):
    """Who speaks."""

    USER = "user", "User"
    ASSISTANT = "assistant", "Assistant"


SEARCHED_CHARS = 100_000
"""Of each message so many are searched: more words than these might not fit into Postgres' index of one row."""

MESSAGE_WORDS = SearchVector(Left("content", SEARCHED_CHARS), config="simple")
"""Words as they are, of any language: `simple` knows no endings."""


class End(models.TextChoices):
    """How an answer broke off; empty, where this may stand: it did not."""

    STOPPED = "stopped", "Stopped"
    LENGTH = "length", "Cut at its longest length"
    FAILED = "failed", "Failed"


class Message(models.Model):
    """One message; siblings (same parent) are alternatives, such as regenerated answers."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=10, choices=Role)
    content = models.TextField(blank=True)
    model = models.ForeignKey(LanguageModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """Which model writes or wrote it; null for the user's."""
    written_by = models.CharField(max_length=100, blank=True)
    """Name of the model of an imported answer, if it is none of this site's."""
    is_imported = models.BooleanField(default=False)
    """A person brought it in a file: nobody knows whether it was really said, nor by which model."""
    copied_end = models.CharField(max_length=10, choices=End, blank=True)
    """Of an answer whose generation is elsewhere, because it came by a fork or an import: how it broke off."""
    is_whole = models.BooleanField(default=True)
    """Nobody writes on it any more. Only then its words are indexed: else each piece of an answer would cost that."""
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            # The tree is walked upwards without a look back: no message may come round to itself.
            models.CheckConstraint(condition=Q(parent=None) | Q(parent__lt=F("id")), name="message_after_its_parent"),
        ]
        indexes = [GinIndex(MESSAGE_WORDS, name="message_words", condition=Q(is_whole=True))]

    def __str__(self) -> str:
        return f"{self.get_role_display()} message {str(self.public_id)[:8]}"

    @property
    def author(self) -> str:
        """Name of the model that wrote it, as people read it; empty for a user's."""
        return str(self.model) if self.model is not None else self.written_by


class Feedback(models.Model):
    """What the owner of a chat thinks of an answer in it."""

    class Reason(models.TextChoices):
        """What was wrong with it."""

        FALSE = "false", "Not true"
        MISSED = "missed", "Not what I asked for"
        UNSAFE = "unsafe", "Harmful or offensive"
        STYLE = "style", "Too long, too short, or badly written"
        BROKEN = "broken", "Broken or cut off"
        OTHER = "other", "Something else"

    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="feedback")
    is_good = models.BooleanField()
    reason = models.CharField(max_length=10, choices=Reason, blank=True)
    comment = models.TextField(blank=True)
    given_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "feedback"

    def __str__(self) -> str:
        return f"Feedback {self.pk}"


class GenerationState(models.TextChoices):
    """Life of a generation: queued -> running -> one of the three ends."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    COMPLETE = "complete", "Complete"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


UNFINISHED = (GenerationState.QUEUED, GenerationState.RUNNING)

LENGTH = "length"
"""Finish reason of an answer that was cut at its longest length. Source: OpenAI API reference, `finish_reason`."""

_BROKEN_OFF = {GenerationState.STOPPED: End.STOPPED, GenerationState.FAILED: End.FAILED}


class Generation(models.Model):
    """The work of writing one assistant message on a worker. It outlives the page that asked for it.

    The process whose `reader` is here saves the text until `reader_lease_expires_at`; when that runs out, any other may
    go on, because the worker replays the events from the start. The end is written by a conditional UPDATE, so once.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    """Also the id of the generation at the worker."""
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="generations")
    """The message's own, kept here too so that the database can forbid two unfinished answers in one column."""
    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="generation")
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=10, choices=GenerationState, default=GenerationState.QUEUED)
    finish_reason = models.CharField(max_length=20, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    is_error_retryable = models.BooleanField(default=False)
    column = models.PositiveSmallIntegerField(default=0)
    """Its place among the answers that are written side by side, so that the database can forbid any others."""
    n_given_chars = models.PositiveIntegerField(default=0)
    """The message's text begins with so many characters of an answer that broke off, which this one goes on with."""
    is_stop_requested = models.BooleanField(default=False)
    """Tells a reader in another process to cancel at the worker."""
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    ttft_ms = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_s = models.FloatField(null=True, blank=True)
    reader = models.UUIDField(null=True, blank=True, editable=False)
    """Which reader saves the text; anybody may read."""
    reader_lease_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "column"],
                condition=Q(state__in=["queued", "running"]),
                name="generation_one_unfinished_per_column",
            ),
        ]
        indexes = [
            models.Index(
                fields=["reader_lease_expires_at"],
                condition=Q(state__in=["queued", "running"]),
                name="generation_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"Generation {str(self.public_id)[:8]} ({self.get_state_display()})"

    @property
    def end(self) -> str:
        """How it ended before the model had said all that it wanted to say: an `End`, or empty."""
        cut = End.LENGTH if self.finish_reason == LENGTH else ""
        return _BROKEN_OFF.get(GenerationState(self.state), cut)
