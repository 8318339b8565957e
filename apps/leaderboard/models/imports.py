"""Battles of other sites, and the files that brought them."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.arena.models import Arena, Contestant, Verdict


class ImportedFile(models.Model):
    """A file of battles of another site that a board counts in, and what became of its rows."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=255)
    """Without its folders."""
    sha256 = models.CharField(max_length=64, verbose_name="SHA-256")
    n_rows = models.PositiveIntegerField(verbose_name="rows")
    n_battles = models.PositiveIntegerField(verbose_name="battles")
    """That came with it; those that another file had brought before are not among them."""
    dropped = models.JSONField(verbose_name="left out")
    """{reason: count} of the other rows."""
    imported_at = models.DateTimeField(null=True)
    """When it last brought battles."""
    withdrawn_at = models.DateTimeField(null=True)
    """Then they were taken out again; boards that were made with them keep them."""

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["arena", "sha256"], name="imported_file_once_an_arena")]

    def __str__(self) -> str:
        return self.name


class ImportedBattle(models.Model):
    """A battle of such a file, without its texts and without its voter."""

    file = models.ForeignKey(ImportedFile, on_delete=models.PROTECT, related_name="battles")
    arena = models.ForeignKey(Arena, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=64)
    """By which the same battle of another file, or of the same one, is known."""
    line = models.PositiveIntegerField()
    """Where its row begins."""
    model_a = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="+")
    model_b = models.ForeignKey(Contestant, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=10, choices=Verdict)
    weight = models.FloatField()
    voter = models.CharField(max_length=32, blank=True)
    """A keyed digest of what the file calls them; blank when it does not say."""
    prompt = models.BigIntegerField()
    """`battle_files.frequency.prompt_number`."""
    prompt_share = models.FloatField(null=True)
    """What the file itself says of that."""
    categories = ArrayField(models.CharField(max_length=30), default=list)
    style_a = ArrayField(models.FloatField(), null=True)
    style_b = ArrayField(models.FloatField(), null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["arena", "key"], name="imported_battle_once_an_arena")]

    def __str__(self) -> str:
        return f"{self.file_id}, line {self.line}"
