"""What people have answered, change by change: the newest answer of a person about a kind is in force.

The database refuses to change an answer; only whose it is may go from a visitor to the account they signed in to.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import Visitor


class Kind(models.TextChoices):
    """What is asked for, each apart."""

    CHATS = "chats", "Chats"
    BATTLES = "battles", "Arena battles"


class How(models.TextChoices):
    """How an answer came about."""

    PAGE = "page", "On the page"
    SIGN_IN = "sign_in", "Before a sign-in the visitor and the account had not said the same"
    ERASURE = "erasure", "They asked to be erased"


class Consent(models.Model):
    """One answer. Whoever has given none has not consented."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    visitor = models.ForeignKey(Visitor, null=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    is_given = models.BooleanField()
    how = models.CharField(max_length=10, choices=How, default=How.PAGE)
    answered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, visitor=None) | Q(user=None, visitor__isnull=False),
                name="consent_of_one_person",
            )
        ]
        indexes = [
            models.Index(fields=["user", "kind", "-id"], name="consent_of_user"),
            models.Index(fields=["visitor", "kind", "-id"], name="consent_of_visitor"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {'given' if self.is_given else 'not given'}"
