"""Tokens with which workers enrol."""

from django.db import models

from apps.workers.models.workers import Worker


class EnrolmentToken(models.Model):
    """Lets one worker enrol, once. Only its digest is stored: the token itself is shown when it is made."""

    label = models.CharField(max_length=100, blank=True, help_text="What it is for, such as the machine's name.")
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    allowed = models.CharField(
        max_length=1000,
        blank=True,
        help_text="Networks, addresses and host names at which the worker may be, separated by spaces. Blank: only the "
        "address from which it calls.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        verbose_name = "enrolment token"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.label}".strip()
