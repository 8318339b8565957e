"""Training runs and their loss curves. The weights lie in files; only what people ask about lies here.

A running run is alive while `lease_expires_at` lies ahead: a command that was killed needs nobody to tidy up after it.
"""

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class Method(models.TextChoices):
    """How the weights are changed."""

    FULL = "full", "Full training"


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE = (Status.QUEUED, Status.RUNNING)


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    """Reads that everybody needs to get right in the same way."""

    def active(self) -> "TrainingRunQuerySet":
        return self.filter(status__in=ACTIVE)

    def interrupted(self) -> "TrainingRunQuerySet":
        """Said to be active, but whoever followed them stopped renewing the lease."""
        return self.active().filter(lease_expires_at__lte=Now())


class TrainingRun(models.Model):
    """One training configuration on its way to a model directory; a resumed run stays the same row."""

    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    method = models.CharField(max_length=20, choices=Method)
    config = models.JSONField()
    config_hash = models.CharField(max_length=64, db_index=True)
    output_directory = models.CharField(max_length=500)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    pid = models.PositiveIntegerField(null=True, blank=True, verbose_name="process id")
    """Of the training process, on the machine where the command ran."""
    lease_expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    last_step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField()
    last_loss = models.FloatField(null=True, blank=True)
    device = models.CharField(max_length=20, blank=True)
    dtype = models.CharField(max_length=20, blank=True)
    data_hash = models.CharField(max_length=64, blank=True)
    code_version = models.CharField(max_length=80, blank=True)
    accuracy = models.JSONField(default=dict, blank=True)
    """Held-out accuracy per task, between 0 and 1."""
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.TextField(blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # Two processes would write the same checkpoints.
            models.UniqueConstraint(
                fields=["config_hash"],
                condition=models.Q(status__in=["queued", "running"]),
                name="training_run_one_active_per_config",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({str(self.public_id)[:8]})"

    @property
    def is_interrupted(self) -> bool:
        return self.status in ACTIVE and self.lease_expires_at <= timezone.now()


class TrainingStep(models.Model):
    """One point of a loss curve."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="steps")
    step = models.PositiveIntegerField()
    loss = models.FloatField()
    learning_rate = models.FloatField()
    tokens_per_s = models.FloatField()

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="training_step_once_per_run")]

    def __str__(self) -> str:
        return f"step {self.step}: {self.loss:.4f}"
