"""The transparency log: who was drawn how often. No line of it is ever changed or deleted."""

from django.db import models
from django.utils import timezone

from apps.arena.models import Arena, Contestant
from apps.catalog.models import Visibility


class SamplingChange(models.Model):
    """How often a contestant is drawn from some time on. The database writes it with every change, whoever makes it.

    Source: its triggers, in the migration `transparency_log`.
    """

    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="+")
    contestant = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    weight = models.FloatField()
    boost = models.FloatField()
    is_available = models.BooleanField(verbose_name="available")
    retired_at = models.DateTimeField(null=True)
    visibility = models.CharField(max_length=10, choices=Visibility)
    """Of its model then; everybody's for one that an admin entered. It tells for whom a deleted model is."""
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["arena", "-id"], name="sampling_change_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name}, {self.changed_at:%Y-%m-%d %H:%M}"
