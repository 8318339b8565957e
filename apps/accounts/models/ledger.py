"""What was used: one row for each call to a model, written when it has ended and never changed.

The database itself refuses to change or delete a row (a trigger, see the migrations), except that whose it was may be
taken out. People, keys and visitors are named without foreign keys, so that deleting one of them needs no change here.
"""

from django.db import models
from django.db.models import Q

from apps.accounts.models.people import ApiKey, User

PRICE_DIGITS, PRICE_DECIMALS = 12, 6
COST_DIGITS, COST_DECIMALS = 30, 12
"""A price for a million tokens has 6 decimals, so the cost of one token has 12 and no sum is ever rounded."""


class CallState(models.TextChoices):
    """How a call ended."""

    COMPLETE = "complete", "Complete"
    STOPPED = "stopped", "Stopped: whoever asked left"
    REFUSED = "refused", "Refused by the worker"
    FAILED = "failed", "Failed on our side"
    LOST = "lost", "Lost: the process that read it died"


class MeteredCall(models.Model):
    """Who called what: the columns that an open reservation and a ledger entry share."""

    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    api_key = models.ForeignKey(
        ApiKey, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    visitor_public_id = models.UUIDField(null=True, blank=True)
    model_name = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=40)
    request_id = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    """Decides which windows of limits the call counts in."""

    class Meta:
        abstract = True


class LedgerEntry(MeteredCall):
    """One ended call and what it used."""

    requests = models.PositiveSmallIntegerField()
    """1, or 0 for a call that failed on our side: that is not held against anybody."""
    prompt_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    """Those of the prompt that the worker had computed before."""
    completion_tokens = models.BigIntegerField()
    cost = models.DecimalField(max_digits=COST_DIGITS, decimal_places=COST_DECIMALS)
    state = models.CharField(max_length=10, choices=CallState)
    is_estimated = models.BooleanField()
    """The worker could not be asked for the numbers; docs/operations.md has the rule."""
    ended_at = models.DateTimeField()

    class Meta:
        verbose_name = "ledger entry"
        verbose_name_plural = "ledger"
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["user", "started_at"], name="ledger_user_time"),
            models.Index(fields=["api_key", "started_at"], name="ledger_key_time"),
            models.Index(fields=["started_at"], name="ledger_time"),
            models.Index(fields=["request_id"], name="ledger_request"),
            models.Index(
                fields=["visitor_public_id"], condition=Q(visitor_public_id__isnull=False), name="ledger_visitor"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_name}, {self.prompt_tokens} + {self.completion_tokens} tokens"
