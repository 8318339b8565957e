"""Answers of the Responses API that are kept: what was asked, what came, and how far it is."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.openai_api.models.owned import OwnedManager, OwnedModel
from apps.workers.models import Worker


class ResponseState(models.TextChoices):
    """Source: OpenAI API reference, "The response object", `status`."""

    QUEUED = "queued", "Queued"
    IN_PROGRESS = "in_progress", "In progress"
    COMPLETED = "completed", "Completed"
    INCOMPLETE = "incomplete", "Incomplete"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


UNENDED = (ResponseState.QUEUED, ResponseState.IN_PROGRESS)


class StoredResponse(OwnedModel):
    """One answer, and the items that it answers.

    One that is unended is somebody's business while `lease_expires_at` lies ahead: of the runner that works on it in
    the background, or of the web process that streams it. In the background `public_id` names the generation at the
    worker too, so that whoever comes next goes on with it.
    """

    created_at = models.DateTimeField(default=timezone.now)
    """When it was asked for; the row may come later."""
    ancestors = ArrayField(models.BigIntegerField(), default=list)
    """The keys of the responses before it in its conversation, the first one first."""
    model_name = models.CharField(max_length=200)
    repeated = models.JSONField()
    """What the response object repeats of the request."""
    options = models.JSONField(default=dict)
    """What a model is asked besides messages, kept until it is answered in the background."""
    items = models.JSONField()
    """The input of this response alone."""
    output = models.JSONField(default=list)
    n_bytes = models.PositiveIntegerField(default=0)
    """Of input and output together, as JSON."""
    usage = models.JSONField(null=True)
    error = models.JSONField(null=True)
    incomplete_reason = models.CharField(max_length=30, blank=True)
    state = models.CharField(max_length=20, choices=ResponseState)
    is_background = models.BooleanField(default=False, verbose_name="background")
    worker = models.ForeignKey(Worker, null=True, on_delete=models.SET_NULL, related_name="+")
    """In the background: who was asked last."""
    runner = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True)
    n_turns = models.PositiveIntegerField(default=0)
    """How many runners have begun with it, without those that put it back."""
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = OwnedManager()

    class Meta:
        verbose_name = "response"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["lease_expires_at"], condition=Q(state__in=["queued", "in_progress"]), name="response_unended"
            ),
        ]

    def __str__(self) -> str:
        return f"Response {self.public_id.hex[:8]} ({self.get_state_display()})"

    @property
    def is_ended(self) -> bool:
        return self.state not in UNENDED
