"""What datasets do when something happens in another app."""

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.visits import visitor_of
from apps.datasets.services.erasure import sources_adopt


@receiver(user_logged_in, dispatch_uid="datasets.adopt")
def adopt_visitors_sources(request: HttpRequest | None, user: User, **_: object) -> None:
    """Whoever signs in afterwards is still found when they ask to be erased."""
    if (visitor_public_id := visitor_of(request)) is not None:
        sources_adopt(user=user, visitor_public_id=visitor_public_id)
