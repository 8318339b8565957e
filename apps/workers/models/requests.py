"""Requests to the pool: its queue while they wait and run, and its log afterwards."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from apps.catalog.models import LanguageModel
from apps.workers.models.workers import Worker

RENEWED_WITHIN = timedelta(seconds=20)
"""A request that was not renewed for so long is one of a process that died, and counts no more."""


class RequestState(models.TextChoices):
    """Where a request is."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    ENDED = "ended", "Ended"


class PoolRequest(models.Model):
    """One request to the pool, from its arrival to its end: the queue, and afterwards the log. It holds no text."""

    ANSWERED = "answered"
    LEFT = "left"
    """The caller went away."""

    trace_id = models.CharField(max_length=64, db_index=True)
    """The `X-Request-ID` of the request that asked, in the logs of site and worker too."""
    generation_id = models.UUIDField(null=True, blank=True, db_index=True)
    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="+")
    party = models.CharField(max_length=60)
    path = models.CharField(max_length=40)
    prefix_key = models.CharField(max_length=32, blank=True, editable=False)
    state = models.CharField(max_length=10, choices=RequestState, default=RequestState.WAITING)
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    renewed_at = models.DateTimeField(editable=False)
    """By the process whose request it is."""
    created_at = models.DateTimeField(default=timezone.now)
    admitted_at = models.DateTimeField(null=True, blank=True)
    first_event_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=60, blank=True)
    """`answered`, `left`, or an error's code."""
    attempts = models.JSONField(default=list, blank=True)
    """What failed on the way: when, at which worker, why."""

    class Meta:
        verbose_name = "request"
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["model", "state"],
                condition=models.Q(state__in=["waiting", "running"]),
                name="pool_request_unfinished",
            ),
            models.Index(fields=["model", "party", "admitted_at"], name="pool_request_turns"),
            models.Index(fields=["created_at"], name="pool_request_created"),
            models.Index(fields=["model", "-id"], condition=models.Q(outcome="answered"), name="pool_request_answered"),
        ]

    def __str__(self) -> str:
        return f"{self.trace_id} ({self.state})"
