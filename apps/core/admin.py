"""What admin pages of several apps share."""

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import TextFilter

from apps.core.texts import clean_text


class ExactTextFilter(TextFilter):
    """A box for the whole value of the column `parameter_name`.

    For columns without a list of choices: Django would look through all rows to offer those that occur. Its page sets
    `list_filter_submit`, which adds the button.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        wanted = clean_text(self.value() or "").strip()
        return queryset.filter(**{self.parameter_name: wanted}) if wanted else queryset


class KeptAdmin(ModelAdmin):
    """Rows that the site writes and nobody deletes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class RecordAdmin(KeptAdmin):
    """Rows for reading: what happened stays as it was written down."""

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
