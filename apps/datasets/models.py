"""Datasets and their versions. A version is never changed: the database refuses it, whoever tries.

The one exception is an erasure, which empties rows that were made from somebody's chats. A version is deleted whole.
"""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Collate, Left

import apps.datasets.release_models  # noqa: F401  # its models are of this app too
from apps.accounts.actors import Actor
from apps.datasets.names import LICENCE_MAX_CHARS, NAME_MAX_CHARS


class Dataset(models.Model):
    """A name, and how many versions it has had."""

    name = models.SlugField(max_length=NAME_MAX_CHARS, unique=True)
    n_versions = models.PositiveIntegerField(default=0)
    """With deleted ones: a number is never given twice."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Origin(models.TextChoices):
    """What a version came out of."""

    CLEAN = "clean", "A recipe"
    IMPORT = "import", "Files"
    MERGE = "merge", "A merge of versions"
    SPLIT = "split", "A split of a version"
    TAKEDOWN = "takedown", "A version without what was taken down"


class DatasetVersion(models.Model):
    """Sets of rows, with all that is known of how they were made."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    origin = models.CharField(max_length=10, choices=Origin)
    recipe = models.JSONField()
    """What was done: steps and outputs of a recipe with its parameters filled in, or versions and options."""
    code_version = models.CharField(max_length=64, blank=True)
    """Hash of the sources that did it."""
    inputs = models.JSONField()
    """For each: `file`, and `format` or `sha256` where it has one."""
    follows = ArrayField(models.CharField(max_length=NAME_MAX_CHARS), default=list)
    """Names of further datasets whose takedowns reach it, as that of which an import is an export."""
    steps = models.JSONField()
    """Reports of the steps that all sets have in common."""
    sets = models.JSONField(default=dict)
    """By name: `sha256` of its lines, counts, how many rows each step has `changed`, and reports of its own steps."""
    hash = models.CharField(max_length=64, db_index=True)
    """SHA-256 of names and hashes of the sets."""
    n_rows = models.PositiveBigIntegerField(default=0, verbose_name="rows")
    licence = models.CharField(max_length=LICENCE_MAX_CHARS, blank=True)
    card = models.TextField()
    """In Markdown."""
    charts = models.JSONField(default=dict)
    """Of each set, drawn when it was stored: objects with `title`, `summary`, `svg`, `head` and `rows`."""
    is_sealed = models.BooleanField(default=False, editable=False)
    """All of it is here. Until then it is seen by the transaction alone that writes it."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_once")]

    def __str__(self) -> str:
        return f"{self.dataset.name}@{self.number}"


class SourceRecord(models.Model):
    """A record as it stood in a source: that what was done to rows can be seen, and that a person's are found."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    """The constraint is the migration's own: only with their version are rows deleted."""
    file = models.CharField(max_length=500)
    record = models.PositiveBigIntegerField()
    """Its number in the file, from 0."""
    format = models.CharField(max_length=20)
    value = models.TextField(null=True)  # noqa: DJ001  # null: not kept, or erased; empty would be a value
    """JSON."""
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    """Whose chat it is; null for what came from files, and when it was erased."""
    visitor_public_id = models.UUIDField(null=True)
    """The same, of somebody without an account."""
    conversation = models.UUIDField(null=True)
    """Public id of that chat, or of a side of a battle."""
    messages = ArrayField(models.BigIntegerField(), null=True)
    """Keys of the messages that it was made of: moderators may take something out of them later."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "file", "record"], name="source_record_once"),
        ]
        indexes = [
            models.Index(fields=["user"], condition=Q(user__isnull=False), name="source_record_of_user"),
            models.Index(
                fields=["visitor_public_id"],
                condition=Q(visitor_public_id__isnull=False),
                name="source_record_of_visitor",
            ),
        ]

    def __str__(self) -> str:
        return f"Record {self.record} of {self.file}"

    @property
    def is_erased(self) -> bool:
        """Nothing is left of it. What is not kept of somebody's chat still says whose it is."""
        return self.value is None and self.owner == Actor() and self.conversation is None

    @property
    def owner(self) -> Actor:
        """Who wrote it here; nobody who is known, of a file."""
        return Actor(user_id=self.user_id, visitor_public_id=self.visitor_public_id)


ID_HEAD_CHARS = 64
ID_HEAD = Collate(Left("record_id", ID_HEAD_CHARS), "C")
"""What an index finds ids by that begin alike: a whole id may be too long for one, and only in the order of bytes do
they stand together."""


class DatasetRow(models.Model):
    """A line of a set, byte for byte, and where it comes from."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.DO_NOTHING, db_constraint=False, related_name="rows")
    set_name = models.CharField(max_length=NAME_MAX_CHARS, verbose_name="set")
    position = models.PositiveBigIntegerField()
    """In its set, from 0."""
    record_id = models.TextField(verbose_name="id")
    source_file = models.CharField(max_length=500, blank=True)
    """Blank: a step made it."""
    source_record = models.PositiveBigIntegerField(null=True)
    steps = ArrayField(models.TextField(), default=list)
    """That changed it."""
    line = models.TextField(null=True)  # noqa: DJ001  # null: erased; an empty line would be none
    """JSON, without the end of the line."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "set_name", "position"], name="dataset_row_once"),
        ]
        indexes = [
            models.Index(fields=["version", "source_file", "source_record"], name="dataset_row_of_source"),
            HashIndex(fields=["record_id"], name="dataset_row_id"),
            models.Index(ID_HEAD, name="dataset_row_id_head"),
            models.Index(fields=["version"], condition=Q(line=None), name="dataset_row_erased"),
        ]

    def __str__(self) -> str:
        return f"Row {self.position} of {self.set_name}"


class TokenCount(models.Model):
    """How many tokens a set has by one tokenizer. Beside the version, which is not changed by what is counted of it."""

    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="token_counts")
    set_name = models.CharField(max_length=NAME_MAX_CHARS, verbose_name="set")
    tokenizer = models.CharField(max_length=200)
    """Name of its folder."""
    tokenizer_hash = models.CharField(max_length=64)
    """SHA-256 of its tokenizer.json."""
    totals = models.JSONField()
    """As `TokenTotals.as_dict` has them."""
    charts = models.JSONField()
    """As a version has them."""
    counted_at = models.DateTimeField()

    class Meta:
        ordering = ["tokenizer", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["version", "set_name", "tokenizer_hash"], name="token_count_once"),
        ]

    def __str__(self) -> str:
        return f"Tokens of {self.set_name} by {self.tokenizer}"


class ChunkState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class SharedChunk(models.Model):
    """A chunk of a recipe's rows that a Celery worker is to work on. Its row goes when the run has its result."""

    folder = models.TextField()
    """Of the run."""
    path = models.TextField(unique=True)
    """Of the file that says what is to be done."""
    state = models.CharField(max_length=10, choices=ChunkState, default=ChunkState.WAITING)
    sent_at = models.DateTimeField()
    """To the queue, for the last time."""
    runner = models.UUIDField(null=True)
    worker = models.CharField(max_length=200, blank=True)
    """Machine and process that took it last."""
    lease_expires_at = models.DateTimeField(null=True)
    n_tries = models.PositiveSmallIntegerField(default=0)
    error = models.JSONField(null=True)
    """Of one that failed: `reason`, and `code` and `details`, or `errno`, where it has them."""

    class Meta:
        indexes = [models.Index(fields=["folder", "state"], name="shared_chunk_of_run")]

    def __str__(self) -> str:
        return self.path
