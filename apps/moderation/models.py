"""What moderators decide: rules, a classifier, policies; and the incidents that came of it, without their texts."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.accounts.actors import Actor
from apps.accounts.models import ApiKey, User
from apps.core.sealing import seal, unseal
from apps.moderation.actions import OWN_CATEGORIES
from apps.moderation.choices import Action, Direction, Review, RuleKind, Surface
from apps.moderation.matching import Matcher, PatternWrong

CATEGORY = RegexValidator(r"^[a-z0-9][a-z0-9_/-]*$", "Small letters, digits, '-', '_' and '/', such as 'hate'.")

ADDRESS = RegexValidator(r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", "An address such as http://10.0.0.5:8000/v1.")


class Rule(models.Model):
    """Finds something in a text, and gives it a category."""

    name = models.CharField(max_length=100, unique=True, help_text="Told to whoever is refused.")
    category = models.CharField(max_length=60, validators=[CATEGORY], help_text="Policies go by it.")
    kind = models.CharField(max_length=10, choices=RuleKind)
    pattern = models.TextField(
        help_text="Words: one on each line, found as whole words in any case. Regular expression: of Python's "
        "'regex'; (?i) at its beginning ignores the case. Personal data: which of email, phone, card, iban and ip, one "
        "on each line. Longest text: a number of characters. Languages: codes such as en, de or zh, one on each line."
    )
    is_active = models.BooleanField(default=True, verbose_name="active")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.category in OWN_CATEGORIES:
            raise ValidationError({"category": "This one is for what somebody could not judge."})
        if self.kind not in RuleKind.values:
            return  # the field says so
        try:
            Matcher(self.name, self.category, RuleKind(self.kind), self.pattern).check()
        except PatternWrong as exc:
            raise ValidationError({"pattern": f"{str(exc).capitalize()}."}) from exc


class Classifier(models.Model):
    """A server that judges texts as OpenAI's does: `POST {base_url}/moderations`."""

    name = models.CharField(max_length=100, unique=True)
    base_url = models.CharField(
        max_length=200,
        validators=[ADDRESS],
        verbose_name="address",
        help_text="With the version at its end, such as http://10.0.0.5:8000/v1.",
    )
    sealed_key = models.TextField(blank=True, editable=False)
    model_name = models.CharField(max_length=200, blank=True, verbose_name="model", help_text="Blank: its default.")
    timeout_s = models.FloatField(
        default=5.0,
        validators=[MinValueValidator(0.1), MaxValueValidator(60)],
        verbose_name="time limit, seconds",
        help_text="A text that it has not judged by then is 'unchecked'.",
    )
    judges_images = models.BooleanField(
        default=False, help_text="As OpenAI's omni-moderation does. Otherwise images are of the category 'image'."
    )
    is_active = models.BooleanField(default=True, verbose_name="active")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """Raises: SecretUnreadable, also when the address was changed without the key."""
        return unseal(self.sealed_key, use=self.base_url)

    @key.setter
    def key(self, secret: str) -> None:
        self.sealed_key = seal(secret, use=self.base_url)


class Policy(models.Model):
    """What a surface does about a category. Without one, what is found is refused, and what is unchecked is flagged."""

    surface = models.CharField(max_length=10, choices=Surface)
    direction = models.CharField(
        max_length=3,
        choices=Direction,
        default=Direction.IN,
        verbose_name="texts",
        help_text="Answers are looked at where a policy speaks of them. They come a little later then, and whole if "
        "there is a classifier.",
    )
    category = models.CharField(
        max_length=60,
        blank=True,
        validators=[CATEGORY],
        help_text="Of a rule or of the classifier; 'unchecked' for what one of them could not judge, 'image' for "
        "images where no classifier judges them. Blank: all that have no policy of their own.",
    )
    action = models.CharField(max_length=10, choices=Action)

    class Meta:
        verbose_name_plural = "policies"
        ordering = ["surface", "direction", "category"]
        constraints = [
            models.UniqueConstraint(
                fields=["surface", "direction", "category"],
                name="policy_once",
                violation_error_message="There is a policy for this already: change it.",
            )
        ]

    def __str__(self) -> str:
        category = self.category or "everything else"
        return f"{self.get_surface_display()}, {self.get_direction_display()}, {category}: {self.action}"


class Incident(models.Model):
    """Something was done about a text. It is not kept here: the reference leads to what its surface keeps of it."""

    surface = models.CharField(max_length=10, choices=Surface)
    direction = models.CharField(max_length=3, choices=Direction, default=Direction.IN, verbose_name="text")
    action = models.CharField(max_length=10, choices=Action)
    categories = ArrayField(models.CharField(max_length=60))
    found_by = ArrayField(models.CharField(max_length=100))
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.CASCADE, related_name="+", verbose_name="API key")
    visitor_public_id = models.UUIDField(null=True)
    network_digest = models.CharField(max_length=64, blank=True, editable=False)
    """Of a visitor, so that a ban can hold for a new cookie too."""
    reference = models.CharField(max_length=64, blank=True, db_index=True)
    """The id of what is kept: a message, the generation of an answer, a chat for its title and prompt, a preset, a
    battle, a response, an image; else the request's."""
    request_id = models.CharField(max_length=64, blank=True)
    """What whoever sent the text was told with its refusal or answer; of an answer in a chat, the generation's id."""
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    review = models.CharField(max_length=10, choices=Review, default=Review.OPEN)
    reviewed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    reviewed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        permissions = [("review_incident", "Can decide about incidents, and open what is kept of their texts")]
        indexes = [models.Index(fields=["-id"], condition=Q(review="open"), name="incident_open")]

    def __str__(self) -> str:
        return f"{self.get_surface_display()}: {', '.join(self.categories)}"

    @property
    def whose(self) -> str:
        """In words, for moderators."""
        if self.user is not None:
            return str(self.user)
        if self.api_key is not None:
            return f"key {self.api_key.name}"
        return "unknown" if self.visitor_public_id is None else f"visitor {self.visitor_public_id}"

    @property
    def author(self) -> Actor:
        """Who sent the text, or was answered with it."""
        return Actor(self.user_id, self.visitor_public_id, self.api_key_id)


class Ban(models.Model):
    """Somebody may not take part: an account, a visitor, or all visitors of a network."""

    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    visitor_public_id = models.UUIDField(null=True, blank=True, verbose_name="visitor")
    network_digest = models.CharField(max_length=64, blank=True, editable=False)
    reason = models.CharField(max_length=300, help_text="Told to whoever is banned, so without names of others.")
    expires_at = models.DateTimeField(null=True, blank=True, verbose_name="until", help_text="Blank: for good. UTC.")
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    by_name = models.CharField(max_length=150, editable=False, verbose_name="by")
    created_at = models.DateTimeField(auto_now_add=True)
    lifted_at = models.DateTimeField(null=True, editable=False)
    lifted_by_name = models.CharField(max_length=150, blank=True, editable=False, verbose_name="lifted by")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False) | Q(visitor_public_id__isnull=False) | ~Q(network_digest=""),
                name="ban_is_of_somebody",
            )
        ]
        indexes = [
            models.Index(fields=["user"], condition=Q(lifted_at=None), name="ban_of_user"),
            models.Index(fields=["visitor_public_id"], condition=Q(lifted_at=None), name="ban_of_visitor"),
            models.Index(fields=["network_digest"], condition=Q(lifted_at=None), name="ban_of_network"),
        ]

    def __str__(self) -> str:
        if self.user is not None:
            whom = f"account {self.user}"
        else:
            whom = f"visitor {self.visitor_public_id}" if self.visitor_public_id is not None else "a network"
        return f"{whom}, {'for good' if self.expires_at is None else f'until {self.expires_at:%Y-%m-%d %H:%M}'}"

    @property
    def is_over(self) -> bool:
        return self.lifted_at is not None or (self.expires_at is not None and self.expires_at <= timezone.now())


class Opening(models.Model):
    """Somebody of the staff opened what a person had said in private.

    That person learns that it was, when and why. The reader's name is for other administrators.
    """

    owner = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    visitor_public_id = models.UUIDField(null=True)
    whose = models.CharField(max_length=60)
    """By number, also when the account is gone: what staff read must not go with it."""
    what = models.CharField(max_length=100)
    address = models.CharField(max_length=200, blank=True)
    why = models.CharField(max_length=100)
    reader = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    reader_name = models.CharField(max_length=150)
    """Also when the reader's account is gone."""
    opened_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["owner", "-id"], name="opening_of_owner"),
            models.Index(fields=["visitor_public_id", "-id"], name="opening_of_visitor"),
        ]

    def __str__(self) -> str:
        return f"{self.what} by {self.reader_name}"
