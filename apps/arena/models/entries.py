"""Arenas, and who takes part in them. Nobody leaves: who takes part no more is retired, and its battles stay."""

import uuid

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.arena.pairing import Entrant
from apps.catalog.models import LanguageModel

DEFAULT_SLUG = "public"


class ArenaKind(models.TextChoices):
    """Who may enter."""

    PUBLIC = "public", "Everybody who may chat"
    TEAM = "team", "Members of its groups; without groups, everybody who is signed in"
    PRIVATE = "private", "Its members"


class Pairing(models.TextChoices):
    """How opponents are found."""

    WEIGHTS = "weights", "By weights and targets"
    ADAPTIVE = "adaptive", "The same, and rather those who have met seldom"


class Arena(models.Model):
    """A place with its own contestants, battles and votes; nothing is shared with another one."""

    slug = models.SlugField(max_length=60, unique=True, help_text="Its name in addresses.")
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True, help_text="One or two sentences for those who enter.")
    kind = models.CharField(max_length=10, choices=ArenaKind, default=ArenaKind.PUBLIC)
    groups = models.ManyToManyField(Group, blank=True, related_name="+", help_text="Of a team's arena.")
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="+", help_text="Of a private arena."
    )
    is_open = models.BooleanField(default=True, verbose_name="open", help_text="A closed one begins no new battles.")
    enters_all_models = models.BooleanField(
        default=False,
        verbose_name="enters all models",
        help_text="Every model that writes becomes a contestant, with weight 1, for those who may see the model.",
    )
    pairing = models.CharField(max_length=10, choices=Pairing, default=Pairing.WEIGHTS)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Contestant(models.Model):
    """A model that takes part, perhaps under instructions and sampling of its own."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="contestants")
    model = models.ForeignKey(LanguageModel, null=True, on_delete=models.SET_NULL, related_name="+")
    """Null when the model was deleted; its battles and votes stay under `name`."""
    name = models.CharField(max_length=200, help_text="Told after the vote.")
    system_prompt = models.TextField(blank=True, max_length=20_000, help_text="Blank: none.")
    temperature = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(2)], help_text="Blank: the model's."
    )
    top_p = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(1)], help_text="Blank: the model's."
    )
    max_tokens = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Longest answer. Blank: what fits."
    )
    weight = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0), MaxValueValidator(1000)],
        help_text="Its battles are in proportion to it. 0: none.",
    )
    boost = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="It begins so many times more battles, for as long as it is new. 1: no more than others.",
    )
    is_available = models.BooleanField(default=True, verbose_name="available", help_text="Off during an outage.")
    is_anonymous_only = models.BooleanField(
        default=False,
        verbose_name="anonymous only",
        help_text="Nobody can choose it by name, and two such never meet.",
    )
    targets = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="+",
        help_text="Half of the battles it begins are with these.",
    )
    has_strict_targets = models.BooleanField(
        default=False, verbose_name="strict targets", help_text="It meets its targets and nobody else."
    )
    is_automatic = models.BooleanField(default=False, editable=False)
    """Entered because the arena enters all models; met by those who may see the model alone."""
    awaits_model = models.BooleanField(default=False, editable=False)
    """Known by battles of other sites alone: it enters so when a model of its name comes, unless an admin decides."""
    retired_at = models.DateTimeField(null=True, blank=True, help_text="From then on it takes part no more.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["arena", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["arena", "name"],
                name="contestant_name_once_per_arena",
                violation_error_message="The arena has a contestant of this name already.",
            ),
            models.CheckConstraint(condition=Q(weight__gte=0, boost__gte=1), name="contestant_weight_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def sampling(self) -> dict[str, float | int]:
        """What its requests say about sampling."""
        given = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def entrant(self) -> Entrant:
        """As pairing sees it. Asks for its targets: prefetch them."""
        return Entrant(
            key=self.pk,
            weight=self.weight,
            boost=self.boost,
            targets=frozenset(target.pk for target in self.targets.all()),
            has_strict_targets=self.has_strict_targets,
            is_anonymous_only=self.is_anonymous_only,
        )
