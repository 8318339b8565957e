"""Writes to the catalog."""

from apps.catalog.models import Kind, LanguageModel


def model_ensure(*, name: str, context_length: int | None, kind: Kind = Kind.TEXT) -> LanguageModel:
    """Return the model of this name, adding it when a worker brings one that nobody has described yet.

    The worker's context length and kind are kept up to date; everything else belongs to the admins. A length of None is
    not told and leaves the one that is known; 0 makes it unknown.
    """
    reported = {"kind": kind} | ({} if context_length is None else {"context_length": context_length or None})
    model, is_new = LanguageModel.objects.get_or_create(name=name, defaults=reported)
    changed = {field: value for field, value in reported.items() if getattr(model, field) != value}
    if not is_new and changed:
        LanguageModel.objects.filter(pk=model.pk).update(**changed)
        for field, value in changed.items():
            setattr(model, field, value)
    return model
