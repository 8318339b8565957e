"""Those who serve: workers with their leases, and providers, which hold none.

A worker is alive while `lease_expires_at` lies ahead, asked in the query: nothing sweeps the table.
"""

from datetime import datetime

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from apps.core.sealing import seal, unseal
from apps.workers.breaker import Fault, Window
from apps.workers.dispatch import Candidate
from apps.workers.providers.limits import Minute, ProviderLimits

DEFAULT_SLOTS = 16
"""For a worker that does not say how many requests of a model it computes at once."""

MAX_SLOTS = 10_000
"""Also those of a provider, which queues by itself: what it is given at once is bounded by the limits of its row."""


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Reads that everybody needs to get right in the same way."""

    def alive(self) -> "WorkerQuerySet":
        return self.filter(lease_expires_at__gt=Now(), removed_at=None)


class Worker(models.Model):
    """One enrolled GPU worker process."""

    public_id = models.UUIDField(unique=True, editable=False)
    base_url = models.CharField(max_length=200, blank=True)
    sealed_token = models.TextField(blank=True, editable=False)
    """See `access_token`."""
    secret_digest = models.CharField(max_length=64, blank=True, editable=False)
    """Of what the worker sends to renew its lease."""
    is_secret_known = models.BooleanField(default=False, editable=False)
    """The worker has shown its secret once, so the reply that brought it was not lost."""
    allowed = models.CharField(max_length=1000, blank=True)
    """Networks, addresses and names at which it may be, besides the address from which it calls."""
    device = models.CharField(max_length=200, blank=True)
    version = models.CharField(max_length=50, blank=True)
    speed = models.FloatField(default=1.0)
    """As the worker says."""
    weight = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.01), MaxValueValidator(1000)],
        help_text="Its share of the requests is proportional to speed x weight. To give it none, drain it.",
    )
    virtual_time = models.FloatField(default=0.0, editable=False)
    """See `dispatch.Candidate`."""
    reported_queue = models.PositiveIntegerField(default=0)
    assigned_since_report = models.PositiveIntegerField(default=0)
    """Requests that the site gave out after the last report; added to it for dispatch, at once."""
    slots = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_SLOTS)],
        help_text="How many requests of one model it gets at once; more wait in the queue. Blank: as it says.",
    )
    kind = models.CharField(max_length=30, blank=True, editable=False)
    """One of `providers.kinds.KINDS`; blank for a worker of ours."""
    label = models.CharField(max_length=100, blank=True, help_text="Its name in lists and logs.")
    token_hint = models.CharField(max_length=4, blank=True, editable=False)
    """The end of a provider's key, by which an admin knows it again."""
    max_requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], verbose_name="requests a minute"
    )
    max_tokens_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        verbose_name="tokens a minute",
        help_text="Of prompts and answers. They count when an answer has ended, so running ones may go beyond.",
    )
    max_running = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        verbose_name="requests at once",
        help_text="All models together; more wait in the queue.",
    )
    minute_starts_at = models.DateTimeField(null=True, editable=False)
    minute_requests = models.PositiveIntegerField(default=0, editable=False)
    minute_tokens = models.PositiveBigIntegerField(default=0, editable=False)
    """See `providers.limits.Minute`."""
    rests_until = models.DateTimeField(null=True, blank=True, editable=False)
    """A provider that asked to be left alone, or refuses the site, is asked by nobody before."""
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    """When a provider last told its list of models."""
    check_problem = models.CharField(max_length=500, blank=True, editable=False)
    """What the latest check of a provider found wrong; `last_error` is of requests."""
    is_drained = models.BooleanField(
        default=False, verbose_name="drained", help_text="Finishes what it has and gets nothing new."
    )
    is_leaving = models.BooleanField(default=False, verbose_name="leaving")
    """The worker itself said that it is shutting down."""
    lease_expires_at = models.DateTimeField(db_index=True, default=timezone.now)
    cooling_until = models.DateTimeField(null=True, blank=True)
    recent_since = models.DateTimeField(default=timezone.now, editable=False)
    recent_answers = models.PositiveIntegerField(default=0, editable=False)
    recent_faults = models.JSONField(default=dict, editable=False)
    """Counts by `breaker.Fault` since `recent_since`, for the breaker."""
    last_error = models.CharField(max_length=500, blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)
    enrolled_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["enrolled_at"]

    def __str__(self) -> str:
        return self.label or f"{self.base_url} ({str(self.public_id)[:8]})"

    @property
    def is_provider(self) -> bool:
        return bool(self.kind)

    @property
    def access_token(self) -> str:
        """What the site sends to be let in, at this address and nowhere else: it is encrypted for `base_url`, so set
        that first. Shown nowhere.

        Raises: SecretUnreadable.
        """
        return unseal(self.sealed_token, use=self.base_url)

    @access_token.setter
    def access_token(self, token: str) -> None:
        self.sealed_token = seal(token, use=self.base_url)

    def is_alive(self, now: datetime) -> bool:
        return self.lease_expires_at > now and self.removed_at is None

    def state(self, now: datetime) -> str:
        """For people, in one word."""
        if self.removed_at is not None:
            return "removed"
        if not self.is_alive(now):
            return "gone"
        if self.is_leaving:
            return "leaving"
        if self.is_drained:
            return "drained"
        if self.resting_until(now) is not None:
            return "resting"
        return "cooling" if self.cooling_until is not None and self.cooling_until > now else "serving"

    def resting_until(self, now: datetime) -> datetime | None:
        """Until when a provider is asked by nobody, because of its own limits or of ours; None if it may be asked."""
        of_minute = self.limits.rests_until(self.minute, now)
        told = self.rests_until if self.rests_until is not None and self.rests_until > now else None
        return max((moment for moment in (of_minute, told) if moment is not None), default=None)

    @property
    def limits(self) -> ProviderLimits:
        return ProviderLimits(self.max_requests_per_minute, self.max_tokens_per_minute, self.max_running)

    @property
    def minute(self) -> Minute:
        return Minute(self.minute_starts_at, self.minute_requests, self.minute_tokens)

    @minute.setter
    def minute(self, minute: Minute) -> None:
        self.minute_starts_at = minute.starts_at
        self.minute_requests, self.minute_tokens = minute.n_requests, minute.n_tokens

    @property
    def queue(self) -> int:
        """Requests running and waiting, as far as is known."""
        return self.reported_queue + self.assigned_since_report

    @property
    def window(self) -> Window:
        faults = {Fault(kind): n for kind, n in self.recent_faults.items()}
        return Window(self.recent_since, self.recent_answers, faults)

    @window.setter
    def window(self, window: Window) -> None:
        self.recent_since, self.recent_answers = window.since, window.n_answers
        self.recent_faults = {str(fault): n for fault, n in window.faults.items()}

    def candidate(self, now: datetime) -> Candidate:
        return Candidate(
            worker_id=self.pk,
            queue=self.queue,
            capacity=self.speed * self.weight,
            is_cooling=self.cooling_until is not None and self.cooling_until > now,
            n_faults=self.window.at(now).n_faults,
            virtual_time=self.virtual_time,
        )


class ProviderManager(models.Manager["Provider"]):
    """Those workers that are somebody else's."""

    def get_queryset(self) -> models.QuerySet["Provider"]:
        return super().get_queryset().exclude(kind="")


class Provider(Worker):
    """A worker that is somebody else's server: a row of the same table, with a page of its own in the admin."""

    objects = ProviderManager()  # type: ignore[assignment,misc]  # a narrower one than its parent's

    class Meta:
        proxy = True
        ordering = ["label"]


MINUTE_FIELDS = ["minute_starts_at", "minute_requests", "minute_tokens"]
