"""Writes to the catalog."""

from apps.catalog.models import LanguageModel


def model_ensure(*, name: str, context_length: int | None) -> LanguageModel:
    """Return the model of this name, adding it when a worker brings one that nobody has described yet.

    The worker's context length is kept up to date; everything else belongs to the admins.
    """
    model, is_new = LanguageModel.objects.get_or_create(name=name, defaults={"context_length": context_length})
    if not is_new and context_length is not None and model.context_length != context_length:
        LanguageModel.objects.filter(pk=model.pk).update(context_length=context_length)
        model.context_length = context_length
    return model
