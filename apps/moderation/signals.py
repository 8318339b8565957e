"""A change that this process makes holds in it at once."""

from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from apps.moderation import selectors
from apps.moderation.models import Classifier, Policy, Rule


@receiver([post_save, post_delete])
def look_again(sender: type[Model], **_: object) -> None:
    if sender in (Rule, Classifier, Policy):
        # Whoever looks again before the commit would read what was, and keep it.
        transaction.on_commit(selectors.forget)
