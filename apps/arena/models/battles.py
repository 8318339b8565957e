"""Battles: two contestants get the same messages, each in a conversation of its own."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import ApiKey, Visitor
from apps.arena.models.entries import Arena, Contestant
from apps.conversations.models import Conversation


class Follows(models.TextChoices):
    """How a battle came out of the one before."""

    NEW_ROUND = "new_round", "New round"
    REMATCH = "rematch", "Rematch of the same two"
    NEW_OPPONENT = "new_opponent", "New opponent for one that failed"


class Battle(models.Model):
    """One battle of a user, a visitor or a program. It stays when they leave, without its texts."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="battles")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="battles"
    )
    visitor = models.ForeignKey(Visitor, null=True, blank=True, on_delete=models.SET_NULL, related_name="battles")
    api_key = models.ForeignKey(
        ApiKey, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", verbose_name="API key"
    )
    """With which a program began it."""
    is_anonymous = models.BooleanField(default=True, verbose_name="anonymous")
    """Off when the two were chosen by name: such votes are kept apart."""
    prompt_digest = models.CharField(max_length=64, blank=True, editable=False)
    """Of the first message: by it the same question is known again."""
    n_turns = models.PositiveIntegerField(default=0, verbose_name="turns")
    """With those after the vote."""
    previous = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="next")
    follows = models.CharField(max_length=15, choices=Follows, blank=True)
    revealed_at = models.DateTimeField(null=True, blank=True)
    """When the names were told: with the vote, or without one, and then there will be none."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(user=None) | Q(visitor=None), name="battle_has_at_most_one_owner"),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="battle_user_recent"),
            models.Index(fields=["visitor", "-created_at"], name="battle_visitor_recent"),
            models.Index(fields=["arena", "-created_at"], name="battle_arena_recent"),
            models.Index(fields=["arena", "prompt_digest"], name="battle_same_question"),
        ]

    def __str__(self) -> str:
        return f"Battle {str(self.public_id)[:8]}"

    @property
    def is_blind(self) -> bool:
        """Whether the names are still to be told."""
        return self.is_anonymous and self.revealed_at is None


class Position(models.TextChoices):
    """Where a side stands: A is on the left."""

    A = "a", "A"
    B = "b", "B"


class Side(models.Model):
    """One of the two in a battle. Which of them is A was drawn by lot."""

    battle = models.ForeignKey(Battle, on_delete=models.CASCADE, related_name="sides")
    position = models.CharField(max_length=1, choices=Position)
    contestant = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="sides")
    conversation = models.OneToOneField(
        Conversation, null=True, blank=True, on_delete=models.SET_NULL, related_name="side"
    )
    """Null when its owner was erased."""

    class Meta:
        ordering = ["battle", "position"]
        constraints = [models.UniqueConstraint(fields=["battle", "position"], name="side_once_per_position")]

    def __str__(self) -> str:
        return f"Side {self.get_position_display()}"
