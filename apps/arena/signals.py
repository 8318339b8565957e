"""What the arena does when something happens in another app."""

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.visits import visitor_of
from apps.arena.services.battles import battles_adopt
from apps.arena.services.entries import arena_first, model_enter
from apps.catalog.models import LanguageModel


@receiver(post_save, sender=LanguageModel, dispatch_uid="arena.model_enter")
def enter_new_models(instance: LanguageModel, raw: bool, **_: object) -> None:
    """A model that has just come, or was changed into one that writes."""
    if not raw:
        model_enter(instance)


@receiver(user_logged_in, dispatch_uid="arena.adopt")
def adopt_visitors_battles(request: HttpRequest | None, user: User, **_: object) -> None:
    """Whoever judged first and signed in afterwards keeps the battles."""
    if (visitor_public_id := visitor_of(request)) is not None:
        battles_adopt(user=user, visitor_public_id=visitor_public_id)


def open_the_first_arena(apps: Apps = all_apps, **_: object) -> None:
    """A site begins with an arena, open to everybody, for all models."""
    try:
        apps.get_model("arena", "Arena")
    except LookupError:
        return  # the app's tables have just been taken away
    arena_first()
