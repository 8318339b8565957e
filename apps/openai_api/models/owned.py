"""What everything has that a program leaves at the API: an owner, and the key it was made with."""

import uuid
from typing import Any, TypeVar

from django.db import models

from apps.accounts.actors import Actor
from apps.accounts.models import ApiKey, User
from apps.accounts.selectors import key_model_names

T = TypeVar("T", bound="OwnedModel")


class OwnedQuerySet(models.QuerySet[T]):
    """The one place where owners are compared."""

    def of_owner(self, actor: Actor) -> "OwnedQuerySet[T]":
        """All that counts for this owner: a person's keys together, or a key of the installation itself."""
        if actor.user_id is not None:
            return self.filter(user_id=actor.user_id)
        return self.filter(user=None, api_key_id=actor.api_key_id)

    def owned(self, actor: Actor) -> "OwnedQuerySet[T]":
        """What this actor may see of it. A key that is restricted to some models sees only what it made itself.

        What the others made may hold answers of any model.
        """
        theirs = self.of_owner(actor)
        return theirs.filter(api_key_id=actor.api_key_id) if key_model_names(actor) else theirs


class OwnedManager(models.Manager[T]):
    """Asks what `OwnedQuerySet` asks. Written out: mypy loses managers made of another file's queryset."""

    def get_queryset(self) -> OwnedQuerySet[T]:
        return OwnedQuerySet(self.model, using=self._db)

    def of_owner(self, actor: Actor) -> OwnedQuerySet[T]:
        return self.get_queryset().of_owner(actor)

    def owned(self, actor: Actor) -> OwnedQuerySet[T]:
        return self.get_queryset().owned(actor)


def owner_fields(actor: Actor) -> dict[str, Any]:
    """For a row that this actor makes. At the API everybody comes with a key."""
    return {"user_id": actor.user_id, "api_key_id": actor.api_key_id}


class OwnedModel(models.Model):
    """Made with a key, for its owner."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    @property
    def kept_by(self) -> list[uuid.UUID]:
        """Public ids a legal hold on which keeps it."""
        return [self.public_id] if self.user is None else [self.public_id, self.user.public_id]
