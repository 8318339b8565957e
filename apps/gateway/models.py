"""The web processes that nginx may send people to."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from apps.gateway.nginx import HOST


class WebBackend(models.Model):
    """One web process of the site, as nginx reaches it."""

    name = models.SlugField(max_length=50, unique=True, help_text="For people; it also appears in nginx's file.")
    host = models.CharField(
        max_length=253,
        validators=[RegexValidator(HOST, "A host name, an IPv4 address, or an IPv6 address in brackets.")],
        help_text="As nginx reaches it: 10.0.0.12, web-2.internal or [fd00::2].",
    )
    port = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(65535)])
    weight = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Its share of the people is proportional to this. To give it none, switch it off.",
    )
    is_enabled = models.BooleanField(
        default=True,
        verbose_name="enabled",
        help_text="Off: nobody new is sent there. Running streams go on, and its people go to the others meanwhile.",
    )
    is_healthy = models.BooleanField(null=True, editable=False, verbose_name="healthy")
    """Whether it was ready at the last check; null before the first."""
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    problem = models.CharField(max_length=200, blank=True, editable=False)
    """Why it was not ready."""

    class Meta:
        verbose_name = "web backend"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["host", "port"], name="web_backend_address_once"),
            models.CheckConstraint(condition=models.Q(weight__gte=1), name="web_backend_weight_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"
