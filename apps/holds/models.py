"""Legal holds. What is held is known by public ids alone: they are unique over all kinds of things."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q


class HeldKind(models.TextChoices):
    """What an administrator names."""

    USER = "user", "A user, with all that is theirs"
    VISITOR = "visitor", "A visitor, with all that is theirs"
    CONVERSATION = "conversation", "A conversation"
    BATTLE = "battle", "A battle, with both its conversations"


class LegalHold(models.Model):
    """One reason to keep something. It is in force until it is lifted, and stays written down afterwards."""

    kind = models.CharField(max_length=12, choices=HeldKind)
    subject = models.UUIDField(verbose_name="id", help_text="The public id of what is held.")
    covers = ArrayField(models.UUIDField(), editable=False)
    """Public ids of all that the hold keeps: the subject's, and those of what belongs to it and is known elsewhere."""
    reason = models.TextField(help_text="For other administrators, such as the number of a case.")
    is_told = models.BooleanField(
        default=True,
        verbose_name="may be told",
        help_text="Whether the person may learn that a hold is why something is not erased. Off: they are told that "
        "it waits, and not for what.",
    )
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    placed_at = models.DateTimeField(auto_now_add=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["subject"],
                condition=Q(lifted_at=None),
                name="hold_once_in_force",
                violation_error_message="There is a hold on this already.",
            )
        ]
        indexes = [GinIndex(fields=["covers"], condition=Q(lifted_at=None), name="hold_covers")]

    def __str__(self) -> str:
        return f"Hold {self.pk} on {self.get_kind_display().partition(',')[0].lower()}"
