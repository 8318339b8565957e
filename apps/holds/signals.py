"""A hold on a visitor follows when the visitor signs in, as their chats and battles do."""

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.visits import visitor_of
from apps.holds.services import holds_follow


@receiver(user_logged_in, dispatch_uid="holds.follow")
def follow_visitor(request: HttpRequest | None, user: User, **_: object) -> None:
    if (visitor_public_id := visitor_of(request)) is not None:
        holds_follow(visitor_public_id, user.public_id)
