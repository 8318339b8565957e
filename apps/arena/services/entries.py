"""Who takes part: models that enter by themselves where an arena takes all of them."""

from django.db.models import Q
from django.utils import timezone

from apps.arena.models import Arena, Contestant
from apps.arena.models.entries import DEFAULT_SLUG
from apps.catalog.models import Kind, LanguageModel


def arena_first() -> None:
    """Open the arena that a site begins with, if it has none."""
    if not Arena.objects.exists():
        arena_fill(Arena.objects.create(slug=DEFAULT_SLUG, name="Arena", enters_all_models=True))


def arena_fill(arena: Arena) -> None:
    """Let in every model that writes and is not there yet, if the arena takes all."""
    if arena.enters_all_models:
        there = Contestant.objects.filter(arena=arena, model__isnull=False).values("model")
        for model in LanguageModel.objects.filter(kind=Kind.TEXT).exclude(pk__in=there):
            _enter(arena, model)


def model_enter(model: LanguageModel) -> None:
    """Let a new model into the arenas that take all."""
    if model.kind == Kind.TEXT:
        for arena in Arena.objects.filter(enters_all_models=True).exclude(contestants__model=model):
            _enter(arena, model)


def contestant_retire(contestant: Contestant) -> bool:
    """Let it take part in no new battles from now on, also if a later time was set; it stays on record.

    False if it was retired before.
    """
    now = timezone.now()
    takes_part = Contestant.objects.filter(Q(retired_at=None) | Q(retired_at__gt=now), pk=contestant.pk)
    return takes_part.update(retired_at=now) == 1


def _enter(arena: Arena, model: LanguageModel) -> None:
    # A contestant of that name whose model was deleted comes back with it; another one keeps its name.
    contestant, is_new = Contestant.objects.get_or_create(
        arena=arena, name=model.name, defaults={"model": model, "is_automatic": True}
    )
    if not is_new and contestant.model_id is None:
        entered = {"is_automatic": True, "is_available": True, "awaits_model": False} if contestant.awaits_model else {}
        Contestant.objects.filter(pk=contestant.pk, model=None).update(model=model, **entered)
