"""Files, and batches of requests with their lines.

Files are rows of chunks, so that every web process and every job has them, and none is ever in memory as a whole.
"""

import uuid

from django.db import models
from django.db.models import F, Q

from apps.openai_api.models.owned import OwnedManager, OwnedModel


class Purpose(models.TextChoices):
    """What a file is for. Source: OpenAI API reference, "Files"."""

    BATCH = "batch", "Requests of a batch"
    BATCH_OUTPUT = "batch_output", "Answers of a batch"


class ApiFile(OwnedModel):
    """A file that a program sent or a batch wrote."""

    name = models.CharField(max_length=255)
    purpose = models.CharField(max_length=20, choices=Purpose)
    n_bytes = models.BigIntegerField(default=0)

    objects = OwnedManager()

    class Meta:
        verbose_name = "API file"
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class FileChunk(models.Model):
    """A piece of a file. Pieces are numbered from 0 and split anywhere."""

    file = models.ForeignKey(ApiFile, on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="file_chunk_once")]

    def __str__(self) -> str:
        return f"{self.file_id}, piece {self.number}"


class BatchState(models.TextChoices):
    """Source: OpenAI API reference, "The batch object", `status`."""

    VALIDATING = "validating", "Validating"
    FAILED = "failed", "Failed"
    IN_PROGRESS = "in_progress", "In progress"
    FINALIZING = "finalizing", "Finalizing"
    COMPLETED = "completed", "Completed"
    EXPIRED = "expired", "Expired"
    CANCELLING = "cancelling", "Cancelling"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED = (BatchState.VALIDATING, BatchState.IN_PROGRESS, BatchState.FINALIZING, BatchState.CANCELLING)


class Batch(OwnedModel):
    """Many requests that may take their time. A job that holds the lease works on it; a free lease is taken over."""

    endpoint = models.CharField(max_length=50)
    input_file = models.ForeignKey(ApiFile, null=True, on_delete=models.SET_NULL, related_name="+")
    input_file_public_id = models.UUIDField()
    """Told also after the file was deleted."""
    output_file = models.ForeignKey(ApiFile, null=True, on_delete=models.SET_NULL, related_name="+")
    error_file = models.ForeignKey(ApiFile, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=20, choices=BatchState, default=BatchState.VALIDATING)
    metadata = models.JSONField(default=dict)
    errors = models.JSONField(default=list)
    n_total = models.PositiveIntegerField(default=0)
    n_completed = models.PositiveIntegerField(default=0)
    n_failed = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()
    in_progress_at = models.DateTimeField(null=True)
    finalizing_at = models.DateTimeField(null=True)
    cancelling_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    runner = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    """When its last turn began or its lease was renewed."""

    objects = OwnedManager()

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(state__in=["validating", "in_progress", "finalizing", "cancelling"]),
                name="batch_unfinished",
            )
        ]

    def __str__(self) -> str:
        return f"{self.endpoint}, {self.n_total} requests"


class BatchLine(models.Model):
    """One request of a batch, and its answer once there is one. Lives until the batch has written its files."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="lines")
    number = models.PositiveIntegerField()
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    custom_id = models.CharField(max_length=512)
    body = models.JSONField()
    is_passed = models.BooleanField(default=False)
    """Whether the gate of moderation has let `body` pass."""
    notes = models.JSONField(default=list)
    """What moderation did about its texts: see `apps.moderation.gate.Note`."""
    n_attempts = models.PositiveIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    """When it last had to be put back."""
    status_code = models.PositiveIntegerField(null=True)
    """Null until it is answered."""
    answer = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="batch_line_number_once"),
            models.UniqueConstraint(fields=["batch", "custom_id"], name="batch_line_custom_id_once"),
        ]
        indexes = [
            models.Index(
                "batch",
                F("tried_at").asc(nulls_first=True),
                "number",
                condition=Q(status_code=None),
                name="batch_line_waiting",
            ),
        ]

    def __str__(self) -> str:
        return self.custom_id
