"""One appeal for each incident or ban: what its person says about it, and what a moderator answers."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.moderation.models import Ban, Incident


class Outcome(models.TextChoices):
    """What a moderator decided."""

    OPEN = "open", "Not answered yet"
    UPHELD = "upheld", "Upheld: it stays as it was decided"
    OVERTURNED = "overturned", "Overturned: it was a mistake"


class Appeal(models.Model):
    """It goes when its incident or ban does."""

    incident = models.OneToOneField(Incident, null=True, on_delete=models.CASCADE, related_name="appeal")
    ban = models.OneToOneField(Ban, null=True, on_delete=models.CASCADE, related_name="appeal")
    text = models.TextField()
    made_at = models.DateTimeField(auto_now_add=True)
    outcome = models.CharField(max_length=12, choices=Outcome, default=Outcome.OPEN)
    answer = models.TextField(blank=True, max_length=2000, help_text="For whoever made the appeal to read.")
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    answered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(incident__isnull=False, ban=None) | Q(incident=None, ban__isnull=False),
                name="appeal_against_one_thing",
            )
        ]
        indexes = [models.Index(fields=["-id"], condition=Q(outcome="open"), name="appeal_open")]

    def __str__(self) -> str:
        # Not the text: that is a person's own words.
        return f"Appeal {self.pk}"
