"""What may be used: limits, how far each is used up, and what running calls hold of them.

`used` of a counter is what ended calls have used, `reserved` what running calls may still come to use; a call begins
only while both together stay within the limit. See `apps.accounts.ledger`, the only code that writes counters.
"""

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from apps.accounts.errors import plain
from apps.accounts.models.ledger import COST_DECIMALS, COST_DIGITS, PRICE_DECIMALS, PRICE_DIGITS, MeteredCall
from apps.accounts.models.people import ApiKey, User


class Audience(models.TextChoices):
    """Whom a limit is for."""

    EVERYONE = "everyone", "Everyone"
    VISITORS = "visitors", "Visitors without an account"
    GROUP = "group", "A group"
    USER = "user", "A user"
    KEY = "key", "An API key"


class Metric(models.TextChoices):
    """What a limit counts."""

    REQUESTS = "requests", "requests"
    TOKENS = "tokens", "tokens"
    COST = "cost", "cost"
    CONCURRENCY = "concurrency", "requests at once"


class Period(models.TextChoices):
    """Over which time. Windows are those of the clock and the calendar, in UTC."""

    MINUTE = "minute", "a minute"
    DAY = "day", "a day"
    MONTH = "month", "a month"
    AT_ONCE = "at_once", "at once"


class Limit(models.Model):
    """An amount that an audience may use. What is counted can not be changed later: counters would lose their sense."""

    audience = models.CharField(max_length=10, choices=Audience)
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="limits")
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="limits")
    api_key = models.ForeignKey(
        ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="limits", verbose_name="API key"
    )
    is_shared = models.BooleanField(
        default=False,
        verbose_name="shared",
        help_text="Everybody in the audience together has this amount. Otherwise each of them has it alone, and a "
        "limit for a user takes the place of the group's, which takes the place of everyone's.",
    )
    model_name = models.CharField(
        max_length=200, blank=True, verbose_name="model", help_text="The name of one model. Blank: all together."
    )
    metric = models.CharField(max_length=12, choices=Metric)
    period = models.CharField(max_length=8, choices=Period)
    amount = models.DecimalField(max_digits=24, decimal_places=6, validators=[MinValueValidator(0)])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(audience=Audience.GROUP, group__isnull=False, user=None, api_key=None)
                | Q(audience=Audience.USER, group=None, user__isnull=False, api_key=None)
                | Q(audience=Audience.KEY, group=None, user=None, api_key__isnull=False)
                | Q(audience__in=[Audience.EVERYONE, Audience.VISITORS], group=None, user=None, api_key=None),
                name="limit_names_its_audience",
                violation_error_message="Choose the group, the user or the API key that the audience speaks of, "
                "and nothing else.",
            ),
            models.CheckConstraint(
                condition=~Q(audience__in=[Audience.USER, Audience.KEY], is_shared=True),
                name="limit_shared_by_several",
                violation_error_message="Only everyone, visitors and groups can share a limit.",
            ),
            models.CheckConstraint(
                condition=Q(metric=Metric.CONCURRENCY, period=Period.AT_ONCE)
                | (~Q(metric=Metric.CONCURRENCY) & ~Q(period=Period.AT_ONCE)),
                name="limit_period_fits_metric",
                violation_error_message="'Requests at once' goes with the period 'at once', and nothing else does.",
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0),
                name="limit_amount_not_negative",
                violation_error_message="The amount must be 0 or more; 0 forbids.",
            ),
            models.UniqueConstraint(
                fields=["audience", "group", "user", "api_key", "is_shared", "model_name", "metric", "period"],
                nulls_distinct=False,
                name="limit_once",
                violation_error_message="There is a limit like this already: change its amount.",
            ),
        ]

    def __str__(self) -> str:
        of = f" of {self.model_name}" if self.model_name else ""
        return f"{plain(self.amount)} {self.get_metric_display()}{self._per()}{of}"

    def clean(self) -> None:
        if self.amount is not None and self.metric != Metric.COST and self.amount % 1:
            raise ValidationError({"amount": "Only a cost has decimals: give a whole number."})

    def _per(self) -> str:
        return "" if self.period == Period.AT_ONCE else f" {self.get_period_display()}"


class UsageCounter(models.Model):
    """How far one limit is used up in one window, by `subject` alone or, if it is blank, by the audience together."""

    limit = models.ForeignKey(Limit, on_delete=models.CASCADE, related_name="counters")
    subject = models.CharField(max_length=60, blank=True)
    starts_at = models.DateTimeField()
    used = models.DecimalField(default=0, max_digits=COST_DIGITS, decimal_places=COST_DECIMALS)
    reserved = models.DecimalField(default=0, max_digits=COST_DIGITS, decimal_places=COST_DECIMALS)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["limit", "subject", "starts_at"], name="counter_once_per_window"),
            models.CheckConstraint(condition=Q(used__gte=0, reserved__gte=0), name="counter_not_negative"),
        ]
        indexes = [models.Index(fields=["starts_at"], name="counter_time")]

    def __str__(self) -> str:
        return f"{self.limit}: {self.used} used, {self.reserved} reserved"


class Reservation(MeteredCall):
    """A call that has begun and has not been settled. Whoever deletes the row settles it, so that happens once.

    While somebody reads the call, `expires_at` is moved on; after it, the call counts as lost and is settled by rule.
    """

    generation_id = models.UUIDField(null=True, unique=True)
    """Of an answer that outlives its reader: another process may take it over, and settle it."""
    prompt_tokens = models.BigIntegerField(null=True)
    """Counted before the call when a limit needs it."""
    max_completion_tokens = models.BigIntegerField(null=True)
    """All choices together; known when `prompt_tokens` is."""
    input_price = models.DecimalField(max_digits=PRICE_DIGITS, decimal_places=PRICE_DECIMALS)
    cached_input_price = models.DecimalField(max_digits=PRICE_DIGITS, decimal_places=PRICE_DECIMALS)
    output_price = models.DecimalField(max_digits=PRICE_DIGITS, decimal_places=PRICE_DECIMALS)
    expires_at = models.DateTimeField(db_index=True)
    group = models.UUIDField(null=True, db_index=True)
    """Of calls that were reserved together, and are settled together: what one used alone would tell about it."""
    ending = models.JSONField(null=True)
    """How it ended, as `settlement.Ending`, while another of its group goes on."""

    def __str__(self) -> str:
        return f"{self.model_name} since {self.started_at}"


class Hold(models.Model):
    """What an open reservation holds of a counter."""

    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, related_name="holds")
    counter = models.ForeignKey(UsageCounter, on_delete=models.CASCADE, related_name="holds")
    amount = models.DecimalField(max_digits=COST_DIGITS, decimal_places=COST_DECIMALS)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reservation", "counter"], name="hold_once_per_counter")]

    def __str__(self) -> str:
        return f"{self.amount} of {self.counter_id}"
