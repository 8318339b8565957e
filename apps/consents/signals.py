"""What a visitor answered follows when they sign in, as their chats and battles do."""

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.visits import visitor_of
from apps.consents.services import consents_adopt


@receiver(user_logged_in, dispatch_uid="consents.adopt")
def adopt_visitors_answers(request: HttpRequest | None, user: User, **_: object) -> None:
    if (visitor_public_id := visitor_of(request)) is not None:
        consents_adopt(user=user, visitor_public_id=visitor_public_id)
