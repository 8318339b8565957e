"""A change that this process makes holds in it at once."""

from django.db.models import Model
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from apps.moderation import selectors
from apps.moderation.models import Classifier, Policy, Rule


@receiver([post_save, post_delete])
def look_again(sender: type[Model], **_: object) -> None:
    if sender in (Rule, Classifier, Policy):
        selectors.forget()
