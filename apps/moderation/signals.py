"""What moderation does when something happens: a change that this process makes holds in it at once, and what is known
of a visitor follows them into their account."""

from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.visits import visitor_of
from apps.moderation import selectors
from apps.moderation.models import Ban, Classifier, Policy, Rule
from apps.moderation.services.openings import visitor_adopt


@receiver([post_save, post_delete])
def look_again(sender: type[Model], **_: object) -> None:
    if sender in (Ban, Rule, Classifier, Policy):
        # Whoever looks again before the commit would read what was, and keep it.
        transaction.on_commit(selectors.forget)


@receiver(user_logged_in, dispatch_uid="moderation.adopt")
def adopt_what_is_known(request: HttpRequest | None, user: User, **_: object) -> None:
    if (visitor_public_id := visitor_of(request)) is not None:
        visitor_adopt(user=user, visitor_public_id=visitor_public_id)
