"""Which models the site offers. Where they run is the business of `apps.workers`."""

import uuid
from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from apps.accounts.quota import Price


class Visibility(models.TextChoices):
    """Who sees a model in lists and may use it."""

    PUBLIC = "public", "Everybody"
    MEMBERS = "members", "People who are signed in, and API keys"
    HIDDEN = "hidden", "Nobody"


class Kind(models.TextChoices):
    """What a model does with text, as its worker reports it."""

    TEXT = "text", "Writes"
    EMBEDDING = "embedding", "Makes vectors"


class LanguageModel(models.Model):
    """One model under the name by which people and programs ask for it."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, unique=True, help_text="What API clients put into `model`.")
    kind = models.CharField(
        max_length=10,
        choices=Kind,
        default=Kind.TEXT,
        help_text="As its worker reports, or as the page of its provider says.",
    )
    display_name = models.CharField(max_length=200, blank=True)
    organisation = models.CharField(max_length=200, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    description = models.TextField(blank=True, help_text="One or two sentences for the model picker.")
    context_length = models.PositiveIntegerField(
        null=True, blank=True, help_text="Tokens; as its worker reports, or as the page of its provider says."
    )
    sees_images = models.BooleanField(
        default=False, help_text="Chats with it may have images. As its worker reports, or as its provider's page says."
    )
    prompt_template = models.CharField(
        max_length=100,
        blank=True,
        validators=[RegexValidator(r"^[A-Za-z0-9._-]+\Z", "A template's name has letters, digits and . _ - only.")],
        help_text="Prompt format by name, such as vicuna_v1.1, for a model without a chat template of its own. Blank: "
        "what the worker uses. `python -m gpu_worker serve --help` lists the names; an unknown one fails each request.",
    )
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    position = models.PositiveIntegerField(default=100, help_text="Lower comes first; the first one is the default.")
    input_price = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        default=Decimal(0),
        validators=[MinValueValidator(0)],
        help_text="For a million tokens of prompts. Calls that run keep the price they began with.",
    )
    cached_input_price = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="For a million tokens of prompts that the worker had computed before. Blank: as all others.",
    )
    output_price = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        default=Decimal(0),
        validators=[MinValueValidator(0)],
        help_text="For a million tokens of answers.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "model"
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.display_name or self.name

    @property
    def price(self) -> Price:
        cached = self.input_price if self.cached_input_price is None else self.cached_input_price
        return Price(self.input_price, cached, self.output_price)
