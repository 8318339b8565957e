"""The key under which networks of visitors are told apart."""

from django.db import models


class NetworkKey(models.Model):
    """The only one there is. It is replaced after some days, and then nobody can tell any more whose a digest was.

    No address is stored anywhere: see `apps.arena.services.networks`.
    """

    secret = models.BinaryField(editable=False)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="network_key_is_one")]

    def __str__(self) -> str:
        return f"Network key of {self.made_at:%Y-%m-%d}"
