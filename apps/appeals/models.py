"""One appeal for each incident: what its person says about it, and what a moderator answers."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.moderation.models import Incident


class Outcome(models.TextChoices):
    """What a moderator decided."""

    OPEN = "open", "Not answered yet"
    UPHELD = "upheld", "Upheld: it stays as it was decided"
    OVERTURNED = "overturned", "Overturned: it was a mistake"


class Appeal(models.Model):
    """It goes when its incident does."""

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="appeal")
    text = models.TextField()
    made_at = models.DateTimeField(auto_now_add=True)
    outcome = models.CharField(max_length=12, choices=Outcome, default=Outcome.OPEN)
    answer = models.TextField(blank=True, max_length=2000, help_text="For whoever made the appeal to read.")
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    answered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["-id"], condition=Q(outcome="open"), name="appeal_open")]

    def __str__(self) -> str:
        # Not the text: that is a person's own words.
        return f"Appeal {self.pk}"
