"""Reads of the catalog: who may see which model."""

from django.db.models import QuerySet

from apps.accounts.actors import Actor
from apps.accounts.quota import Price
from apps.accounts.selectors import key_model_names
from apps.catalog.errors import ModelSeesNothing, ModelUnknown, ModelWrongKind
from apps.catalog.models import Kind, LanguageModel, Visibility

_DOES = {
    Kind.TEXT: "writes texts and makes no vectors: choose an embedding model, or ask it at /v1/chat/completions",
    Kind.EMBEDDING: "makes vectors and cannot write: choose another model, or ask it at /v1/embeddings",
}


def models_visible(actor: Actor) -> QuerySet[LanguageModel]:
    """Models that this actor may know of. API keys count as signed in (see `Actor`), some for a few models only."""
    allowed = [Visibility.PUBLIC, Visibility.MEMBERS] if actor.is_authenticated else [Visibility.PUBLIC]
    models = LanguageModel.objects.filter(visibility__in=allowed)
    names = key_model_names(actor)
    return models.filter(name__in=names) if names else models


def model_get_visible(actor: Actor, name: str, kind: Kind) -> LanguageModel:
    """Raises: ModelUnknown, also when it exists but is not for this actor; ModelWrongKind."""
    model = models_visible(actor).filter(name=name).first()
    if model is None:
        raise ModelUnknown(model=name)
    if model.kind != kind:
        raise ModelWrongKind(model=name, does=_DOES[Kind(model.kind)])
    return model


def sight_check(name: str) -> None:
    """Whether the model may be shown images. Raises: ModelSeesNothing."""
    if not LanguageModel.objects.filter(name=name, sees_images=True).exists():
        raise ModelSeesNothing(model=name)


def price_get(name: str) -> Price:
    """What a million tokens cost; nothing for a model that nobody has described."""
    model = LanguageModel.objects.filter(name=name).first()
    return Price() if model is None else model.price


def context_length_get(name: str) -> int | None:
    return LanguageModel.objects.filter(name=name).values_list("context_length", flat=True).first()
