"""Which models workers and providers hold."""

from django.core.validators import MinValueValidator
from django.db import models

from apps.catalog.models import LanguageModel
from apps.workers.models.workers import DEFAULT_SLOTS, MAX_SLOTS, Worker


class HostedState(models.TextChoices):
    """Where a model is on its worker, as the worker reports it."""

    LOADING = "loading", "Loading"
    LOADED = "loaded", "Loaded"
    FAILED = "failed", "Failed"


class HostedModel(models.Model):
    """A model on a worker."""

    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="hosted")
    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="hosted")
    state = models.CharField(max_length=10, choices=HostedState)
    progress = models.FloatField(null=True, blank=True)
    error = models.TextField(blank=True)
    n_parameters = models.BigIntegerField(null=True, blank=True)
    dtype = models.CharField(max_length=40, blank=True)
    slots = models.PositiveIntegerField(default=DEFAULT_SLOTS)
    """As the worker says."""
    upstream_name = models.CharField(
        max_length=200, blank=True, verbose_name="name there", help_text="What the provider calls the model."
    )
    longest_answer = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Tokens that the provider lets an answer have. Used where limits count tokens, and where it demands "
        "a number that the request does not give.",
    )

    class Meta:
        verbose_name = "hosted model"
        constraints = [models.UniqueConstraint(fields=["worker", "model"], name="hosted_model_once_per_worker")]

    def __str__(self) -> str:
        return f"{self.model} on {self.worker}"

    @property
    def slots_here(self) -> int:
        """How many requests of it the worker computes at once; an admin's word counts more than the worker's own."""
        return min(self.worker.slots or self.slots, self.worker.max_running or MAX_SLOTS)
