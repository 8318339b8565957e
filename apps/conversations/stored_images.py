"""Images that people attached to messages, as they are kept: in Postgres, where every web process has them."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import Visitor


class ChatImage(models.Model):
    """One image of one owner, written again from its pixels (`apps.workers.image_files`).

    It belongs to the messages that show it, forks and both sides of a battle included. Without any it is forgotten.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    visitor = models.ForeignKey(Visitor, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    messages = models.ManyToManyField("conversations.Message", related_name="images", blank=True)
    digest = models.CharField(max_length=64)
    """SHA-256 of `data`: the same image is kept once for its owner."""
    media_type = models.CharField(max_length=20)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    data = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = "image"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, visitor=None) | Q(user=None, visitor__isnull=False),
                name="chat_image_has_one_owner",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "digest"], name="chat_image_of_user"),
            models.Index(fields=["visitor", "digest"], name="chat_image_of_visitor"),
        ]

    def __str__(self) -> str:
        return f"Image {str(self.public_id)[:8]}"
