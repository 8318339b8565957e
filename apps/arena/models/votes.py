"""Votes. None is ever deleted: one that does not count says why, and an admin may decide otherwise."""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, Q, When

from apps.arena.models.battles import Battle
from apps.arena.models.entries import Arena


class Verdict(models.TextChoices):
    """Which side was better."""

    A = "a", "A is better"
    B = "b", "B is better"
    TIE = "tie", "Tie"
    BOTH_BAD = "both_bad", "Both are bad"


class Integrity(models.TextChoices):
    """What is thought of a vote."""

    COUNTED = "counted", "Counted"
    NOT_COUNTED = "not_counted", "Not counted"


class VoteQuerySet(models.QuerySet["Vote"]):
    """Votes by what is thought of them."""

    def counting(self) -> Self:
        """As `Vote.counts`: by an admin's decision, and without one as they were found."""
        return self.filter(Q(overruled=Integrity.COUNTED) | Q(overruled="", integrity=Integrity.COUNTED))

    def rated(self, arena: Arena) -> Self:
        """Those of an arena that say who is better: they count, and nobody knew who wrote."""
        return self.counting().filter(battle__arena=arena, battle__is_anonymous=True)

    def weighed(self) -> Self:
        """Of those that count, with `weight_counted`: their `effective_weight`."""
        return self.annotate(weight_counted=Case(When(overruled="", then="weight"), default=1.0))


class Vote(models.Model):
    """The verdict on a battle, and what is thought of it."""

    battle = models.OneToOneField(Battle, on_delete=models.PROTECT, related_name="vote")
    """One for each battle: the database sees to it."""
    verdict = models.CharField(max_length=10, choices=Verdict)
    n_turns = models.PositiveIntegerField(verbose_name="turns")
    """How many the voter had seen; what came later was not judged."""
    integrity = models.CharField(max_length=12, choices=Integrity, default=Integrity.COUNTED)
    reasons = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    """Codes of `apps.arena.integrity`."""
    weight = models.FloatField(default=1.0, validators=[MinValueValidator(0), MaxValueValidator(1)])
    """How much it weighs if it counts. Voters are not told."""
    overruled = models.CharField(
        max_length=12, choices=Integrity, blank=True, verbose_name="decision", help_text="Blank: as found."
    )
    overruled_why = models.CharField(max_length=300, blank=True, verbose_name="why")
    overruled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    overruled_at = models.DateTimeField(null=True, blank=True)
    network = models.CharField(max_length=64, blank=True, editable=False)
    """Of a visitor: a keyed digest of the network from which it came. Says nothing but that two are the same."""
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects = VoteQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(weight__gte=0, weight__lte=1), name="vote_weight_is_a_share"),
        ]
        indexes = [
            models.Index(fields=["network", "-id"], condition=~Q(network=""), name="vote_of_network"),
        ]

    def __str__(self) -> str:
        return f"{self.get_verdict_display()} ({self.battle})"

    @property
    def counts(self) -> bool:
        """By an admin's decision, and without one as it was found."""
        return (self.overruled or self.integrity) == Integrity.COUNTED

    @property
    def effective_weight(self) -> float:
        """What it weighs in a rating; an admin who lets a vote count lets it count in full."""
        if not self.counts:
            return 0.0
        return 1.0 if self.overruled else self.weight
