"""What becomes of versions outside: rows that are taken down, releases that somebody decides about, and where those are
published. Imported by `models` alone."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.datasets.names import NAME_MAX_CHARS

PLACE_MAX_CHARS = 1000


class TakedownReason(models.TextChoices):
    """Reports and cards say these, and nothing of why it was in this case."""

    ASKED = "asked", "Somebody asked for it"
    PERSONAL = "personal", "Personal data"
    RIGHTS = "rights", "Rights of others"
    HARMFUL = "harmful", "Harmful content"
    OTHER = "other", "Other reasons"


class Takedown(models.Model):
    """A conversation, or a battle, that no later version of a dataset has, with all that was made of it."""

    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.PROTECT, related_name="takedowns")
    record_id = models.TextField(verbose_name="id", help_text="Of a row, or of its conversation.")
    reason = models.CharField(max_length=10, choices=TakedownReason)
    why = models.TextField(help_text="For the staff; it is in no report and on no card.")
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """Null: by `manage.py`, or by somebody who is gone."""
    taken_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["dataset", "record_id"], name="takedown_once")]

    def __str__(self) -> str:
        return f"{self.record_id[:60]} of {self.dataset.name}"


class TakenRow(models.Model):
    """A row that a version has, although it was taken down: the version stays what it is, and is released no more."""

    takedown = models.ForeignKey(Takedown, on_delete=models.PROTECT, related_name="rows")
    version = models.ForeignKey("datasets.DatasetVersion", on_delete=models.CASCADE, related_name="taken_rows")
    set_name = models.CharField(max_length=NAME_MAX_CHARS)
    position = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "set_name", "position"], name="taken_row_once"),
        ]

    def __str__(self) -> str:
        return f"Row {self.position} of {self.set_name}"


class ReleaseState(models.TextChoices):
    PROPOSED = "proposed", "Proposed"
    APPROVED = "approved", "Approved"
    DECLINED = "declined", "Declined"


class DatasetRelease(models.Model):
    """A version, or some of its sets, that is to be given to others. A second person decides, once."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    version = models.ForeignKey("datasets.DatasetVersion", on_delete=models.PROTECT, related_name="releases")
    sets = ArrayField(models.CharField(max_length=NAME_MAX_CHARS))
    notes = models.TextField(blank=True, help_text="For whoever decides, and for the card.")
    checks = models.JSONField(default=list)
    """What was found when it was proposed: objects with `name`, `is_fine` and `words`."""
    state = models.CharField(max_length=10, choices=ReleaseState, default=ReleaseState.PROPOSED)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    proposed_at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField(blank=True)
    """Of the decision."""
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField(null=True)
    is_alone = models.BooleanField(default=False, verbose_name="decided alone")
    """Whoever proposed it decided, because nobody else could."""

    class Meta:
        ordering = ["-pk"]
        permissions = [("approve_datasetrelease", "Can approve or decline releases of datasets")]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "sets"], condition=~Q(state="declined"), name="release_of_version_once"
            ),
            models.CheckConstraint(
                condition=Q(is_alone=True) | Q(decided_by=None) | Q(proposed_by=None) | ~Q(decided_by=F("proposed_by")),
                name="release_decided_by_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version}/{'+'.join(self.sets)}"


class PublicationState(models.TextChoices):
    RUNNING = "running", "Under way"
    PUBLISHED = "published", "Published"
    FAILED = "failed", "Failed"


class Publication(models.Model):
    """A release in one place, by the last try to bring it there."""

    release = models.ForeignKey(DatasetRelease, on_delete=models.PROTECT, related_name="publications")
    place = models.CharField(max_length=PLACE_MAX_CHARS)
    """`hf:ORG/NAME`, or a folder."""
    state = models.CharField(max_length=10, choices=PublicationState, default=PublicationState.RUNNING)
    revision = models.CharField(max_length=64, blank=True)
    """The hub's commit, or the hash of a folder, which is there before the folder is."""
    address = models.URLField(max_length=500, blank=True)
    error = models.TextField(blank=True)
    tried_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    """For the first time."""

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["release", "place"], name="publication_once")]

    def __str__(self) -> str:
        return self.place
