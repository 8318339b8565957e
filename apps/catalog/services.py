"""Writes to the catalog."""

from apps.catalog.models import Kind, LanguageModel


def model_ensure(
    *, name: str, context_length: int | None, kind: Kind = Kind.TEXT, sees_images: bool | None = None
) -> LanguageModel:
    """Return the model of this name, adding it when a worker brings one that nobody has described yet.

    What the worker tells is kept up to date; everything else belongs to the admins. None is not told and leaves what is
    known; a length of 0 makes it unknown.
    """
    reported: dict[str, object] = {"kind": kind}
    if context_length is not None:
        reported["context_length"] = context_length or None
    if sees_images is not None:
        reported["sees_images"] = sees_images
    model, is_new = LanguageModel.objects.get_or_create(name=name, defaults=reported)
    changed = {field: value for field, value in reported.items() if getattr(model, field) != value}
    if not is_new and changed:
        LanguageModel.objects.filter(pk=model.pk).update(**changed)
        for field, value in changed.items():
            setattr(model, field, value)
    return model
