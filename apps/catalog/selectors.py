"""Reads of the catalog: who may see which model."""

from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.catalog.errors import ModelUnknown
from apps.catalog.models import LanguageModel, Visibility


def models_visible(actor: Actor) -> QuerySet[LanguageModel]:
    """Models that this actor may know of. API keys count as signed in (see `Actor`)."""
    allowed = [Visibility.PUBLIC, Visibility.MEMBERS] if actor.is_authenticated else [Visibility.PUBLIC]
    return LanguageModel.objects.filter(visibility__in=allowed)


def model_get_visible(actor: Actor, name: str) -> LanguageModel:
    """Raises: ModelUnknown, also when it exists but is not for this actor."""
    model = models_visible(actor).filter(name=name).first()
    if model is None:
        raise ModelUnknown(model=name)
    return model
