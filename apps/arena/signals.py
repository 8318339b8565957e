"""What the arena does when something happens in another app."""

from uuid import UUID

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_save, pre_delete
from django.dispatch import receiver
from django.http import HttpRequest

from apps.accounts.models import User, Visitor
from apps.accounts.visits import visitor_of
from apps.arena.models import Vote
from apps.arena.services.battles import battles_adopt
from apps.arena.services.entries import arena_first, model_enter
from apps.arena.services.sides import battle_texts_delete, other_side_stop
from apps.catalog.models import LanguageModel
from apps.conversations.models import Conversation, GenerationState, Purpose
from apps.conversations.services.generations import generation_ended


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


@receiver(generation_ended, dispatch_uid="arena.other_side_stop")
def stop_the_other_side(generation_id: UUID, state: GenerationState, **_: object) -> None:
    """Whichever process wrote the end, and whether or not a page watches."""
    if state != GenerationState.COMPLETE:
        other_side_stop(generation_id)


@receiver(pre_delete, sender=Conversation, dispatch_uid="arena.texts_delete")
def delete_both_sides(instance: Conversation, **_: object) -> None:
    """The texts of a battle go together: one side alone can be neither judged nor shown, and nobody would find it."""
    if instance.purpose == Purpose.BATTLE_SIDE:
        battle_texts_delete(instance)


@receiver(pre_delete, sender=Visitor, dispatch_uid="arena.networks_forget")
def forget_the_networks(instance: Visitor, **_: object) -> None:
    """Whoever is erased leaves votes without a trace of where they came from."""
    Vote.objects.filter(battle__visitor=instance).exclude(network="").update(network="")


def open_the_first_arena(apps: Apps = all_apps, **_: object) -> None:
    """A site begins with an arena, open to everybody, for all models."""
    try:
        apps.get_model("arena", "Arena")
    except LookupError:
        return  # the app's tables have just been taken away
    arena_first()
