"""Who uses the site: users, visitors without an account, and the API keys of programs."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone


class User(AbstractUser):
    """A person with an account. Our own class from the first migration, so that it can grow."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    def __str__(self) -> str:
        return self.username


class Visitor(models.Model):
    """Somebody without an account, known by a signed cookie. The row is made when there is something to keep."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Visitor {str(self.public_id)[:8]}"


class Endpoint(models.TextChoices):
    """What a key may be used for, by the paths at which programs ask for it: workers' doors, and what is kept."""

    CHAT = "/v1/chat/completions", "Chat"
    COMPLETIONS = "/v1/completions", "Text completions"
    EMBEDDINGS = "/v1/embeddings", "Embeddings"
    TOKENIZE = "/v1/tokenize", "Counting tokens"
    RESPONSES = "/v1/responses", "Responses"
    MODERATIONS = "/v1/moderations", "Moderation"
    FILES = "/v1/files", "Files"
    BATCHES = "/v1/batches", "Batches"
    BATTLES = "/v1/battles", "Battles and votes"
    CHATS = "/chat", "Chats that are kept"


class ApiKey(models.Model):
    """A program's key. Only its digest is stored: the key itself is shown once, when it is made.

    A key that is rotated stays the same key, with its limits and its ledger, and gets another secret.
    """

    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="api_keys")
    """Null for a key of the installation itself, made on the command line."""
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, help_text="The first characters of the key, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    previous_prefix = models.CharField(max_length=16, blank=True)
    previous_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001  # unique
    previous_expires_at = models.DateTimeField(null=True, blank=True)
    """Until when the secret before the last rotation still opens."""
    model_names = ArrayField(
        models.CharField(max_length=200), default=list, blank=True, verbose_name="models", help_text="None: all."
    )
    endpoints = ArrayField(
        models.CharField(max_length=40, choices=Endpoint), default=list, blank=True, help_text="None: all."
    )
    ip_ranges = ArrayField(
        models.CharField(max_length=50), default=list, blank=True, verbose_name="addresses", help_text="None: all."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"],
                condition=models.Q(revoked_at=None),
                nulls_distinct=False,
                name="api_key_active_name_once_per_user",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()
