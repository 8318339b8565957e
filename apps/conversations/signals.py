"""What conversations do when something happens in another app."""

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.visits import visitor_of
from apps.conversations.services.conversations import conversations_adopt


@receiver(user_logged_in, dispatch_uid="conversations.adopt")
def adopt_visitors_conversations(request: HttpRequest | None, user: User, **_: object) -> None:
    """Whoever chatted first and signed in or up afterwards keeps the conversations."""
    if (visitor_public_id := visitor_of(request)) is not None:
        conversations_adopt(user=user, visitor_public_id=visitor_public_id)
