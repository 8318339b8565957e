"""Requests to be erased, which no longer say whose they were when they are done; and how long what is kept."""

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q


class ErasureState(models.TextChoices):
    """asked -> erased -> done; held in between, while a legal hold keeps something."""

    ASKED = "asked", "Being carried out"
    HELD = "held", "Waits for a legal hold"
    ERASED = "erased", "Erased; looked for once more later"
    DONE = "done", "Done"


class ErasureRequest(models.Model):
    """Somebody wants all that is theirs to be erased. A job that holds the lease works on it; a free lease is taken
    over, and begins again: what is gone is gone."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    """Who has it can see how the request stands, also when the account is gone."""
    user_pk = models.BigIntegerField(null=True, editable=False)
    """Not a foreign key: it outlives the account, for the second look."""
    visitor_public_id = models.UUIDField(null=True, editable=False)
    found = models.JSONField(default=dict, editable=False)
    """What there was when it was asked for: numbers by kind."""
    state = models.CharField(max_length=10, choices=ErasureState, default=ErasureState.ASKED)
    is_hold_told = models.BooleanField(default=True, editable=False)
    """Whether the person may learn that it waits for a legal hold."""
    entered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, editable=False, related_name="+"
    )
    """Of the staff, for somebody who asked by letter; null when the person did it here."""
    asked_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField(auto_now_add=True, editable=False)
    """When it is to be worked on next."""
    runner = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "erasure"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["user_pk"], name="erasure_once_of_user"),
            models.UniqueConstraint(fields=["visitor_public_id"], name="erasure_once_of_visitor"),
        ]
        indexes = [models.Index(fields=["due_at"], condition=~Q(state="done"), name="erasure_due")]

    def __str__(self) -> str:
        return f"Erasure {str(self.public_id)[:8]}"


class Kept(models.TextChoices):
    """Kinds of data that are forgotten after a time."""

    MEMBER_CHATS = "member_chats", "Chats of members, after their last message"
    VISITOR_CHATS = "visitor_chats", "Chats of visitors, after their last message"
    BATTLE_TEXTS = "battle_texts", "What was said in battles, after the last message"
    BATCHES = "batches", "Batches of the API, after they ended"
    FILES = "files", "Files of the API, after they came"
    LEDGER_NAMES = "ledger_names", "Whose the entries of the ledger are, after the call"
    RESPONSES = "responses", "Responses of the API"
    INCIDENTS = "incidents", "Incidents of moderation"
    REQUESTS = "requests", "The log of requests"
    LINKS = "links", "Links that lead nowhere"
    SESSIONS = "sessions", "Sessions that have expired"


SET_ELSEWHERE = (Kept.RESPONSES, Kept.INCIDENTS, Kept.REQUESTS, Kept.LINKS, Kept.SESSIONS)
"""Their periods are settings, or they say themselves when they end."""


class RetentionPeriod(models.Model):
    """How long one kind of data is kept. Without a row it is kept for ever."""

    kind = models.CharField(
        max_length=20, choices=[(kind.value, kind.label) for kind in Kept if kind not in SET_ELSEWHERE], unique=True
    )
    days = models.PositiveIntegerField(
        validators=[MinValueValidator(1)],
        help_text="What is older is deleted within the hour, for good, but for what a legal hold keeps. See what that "
        "would be with `manage.py retention --dry-run`.",
    )

    class Meta:
        ordering = ["kind"]
        constraints = [models.CheckConstraint(condition=Q(days__gte=1), name="retention_at_least_a_day")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.days} days"


class ForgottenCount(models.Model):
    """How much of a kind was forgotten on one day, in UTC."""

    day = models.DateField()
    kind = models.CharField(max_length=20, choices=Kept)
    n_rows = models.PositiveBigIntegerField(default=0, verbose_name="rows")

    class Meta:
        ordering = ["-day", "kind"]
        constraints = [models.UniqueConstraint(fields=["day", "kind"], name="forgotten_once_per_day")]

    def __str__(self) -> str:
        return f"{self.day}, {self.get_kind_display()}: {self.n_rows}"
