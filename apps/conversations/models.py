"""Conversations as trees of messages, and generations: the work of writing one assistant message."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import Visitor
from apps.catalog.models import LanguageModel
from apps.workers.models import Worker


class Purpose(models.TextChoices):
    """What a conversation is part of."""

    CHAT = "chat", "Chat"
    BATTLE_SIDE = "battle_side", "Side of a battle"


class Conversation(models.Model):
    """A tree of messages of one owner, who is a user or a visitor."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="conversations"
    )
    visitor = models.ForeignKey(Visitor, null=True, blank=True, on_delete=models.CASCADE, related_name="conversations")
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.CHAT)
    """The chat's doors open its own conversations alone: those of a battle would tell which model writes."""
    title = models.CharField(max_length=200)
    active_leaf = models.ForeignKey("Message", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """The last message of the path that is shown; its ancestors are the rest of it."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField()
    """Time of the last message; orders the history."""

    class Meta:
        ordering = ["-updated_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, visitor=None) | Q(user=None, visitor__isnull=False),
                name="conversation_has_one_owner",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-updated_at"], name="conversation_user_recent"),
            models.Index(fields=["visitor", "-updated_at"], name="conversation_visitor_recent"),
        ]

    def __str__(self) -> str:
        # Not the title: that is a person's own words, and this ends up in logs and admin lists.
        return f"Conversation {str(self.public_id)[:8]}"


class Role(models.TextChoices):
    """Who speaks."""

    USER = "user", "User"
    ASSISTANT = "assistant", "Assistant"


class Message(models.Model):
    """One message; siblings (same parent) are alternatives, such as regenerated answers."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=10, choices=Role)
    content = models.TextField(blank=True)
    model = models.ForeignKey(LanguageModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """Which model writes or wrote it; null for the user's."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_role_display()} message {str(self.public_id)[:8]}"


class GenerationState(models.TextChoices):
    """Life of a generation: queued -> running -> one of the three ends."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    COMPLETE = "complete", "Complete"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


UNFINISHED = (GenerationState.QUEUED, GenerationState.RUNNING)


class Generation(models.Model):
    """The work of writing one assistant message on a worker. It outlives the page that asked for it.

    The process whose `reader` is here saves the text until `reader_lease_expires_at`; when that runs out, any other may
    go on, because the worker replays the events from the start. The end is written by a conditional UPDATE, so once.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    """Also the id of the generation at the worker."""
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="generations")
    """The message's own, kept here too so that the database can forbid two unfinished answers."""
    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="generation")
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=10, choices=GenerationState, default=GenerationState.QUEUED)
    finish_reason = models.CharField(max_length=20, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    is_error_retryable = models.BooleanField(default=False)
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
                fields=["conversation"],
                condition=Q(state__in=["queued", "running"]),
                name="generation_one_unfinished_per_conversation",
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
