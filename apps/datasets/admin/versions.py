"""Admin pages of datasets, for reading: versions are made and deleted by `manage.py dataset`. No text of a row is here;
its page shows it, and writes down that it was opened."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from apps.accounts.admin.usage import BoundedPaginator
from apps.core.admin import RecordAdmin
from apps.datasets.models import Dataset, DatasetRow, DatasetVersion
from apps.datasets.report import StepReport, report_text


@admin.register(Dataset)
class DatasetAdmin(RecordAdmin):
    list_display = ("name", "n_versions", "created_at")
    search_fields = ("name",)
    fields = readonly_fields = ("name", "n_versions", "created_at")


@admin.register(DatasetVersion)
class DatasetVersionAdmin(RecordAdmin):
    list_display = ("__str__", "origin", "n_rows", "licence", "created_at", "page")
    list_filter = ("origin", "created_at")
    list_select_related = ("dataset",)
    search_fields = ("dataset__name", "hash")
    fields = readonly_fields = (
        "dataset",
        "number",
        "page",
        "origin",
        "licence",
        "n_rows",
        "hash",
        "code_version",
        "recipe",
        "inputs",
        "follows",
        "reports",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[DatasetVersion]:
        queryset: QuerySet[DatasetVersion] = super().get_queryset(request)
        return queryset.defer("charts", "card")

    @admin.display(description="page")
    def page(self, version: DatasetVersion) -> str:
        address = reverse("datasets:version", args=[version.dataset.name, version.number])
        return format_html('<a href="{}">Statistics and card</a>', address)

    @admin.display(description="step reports")
    def reports(self, version: DatasetVersion) -> str:
        of_sets = [(name, told.get("steps", [])) for name, told in version.sets.items()]
        parts = [
            f"{name}\n{report_text([StepReport.from_dict(one) for one in steps])}"
            for name, steps in [("all sets", version.steps), *of_sets]
            if steps
        ]
        return format_html("<pre>{}</pre>", "\n".join(parts))


@admin.register(DatasetRow)
class DatasetRowAdmin(RecordAdmin):
    """Found by its whole id: there may be millions."""

    list_display = ("position", "version", "set_name", "source_file", "source_record", "steps", "page")
    list_select_related = ("version__dataset",)
    search_fields = ("record_id__exact",)  # with = case would make no difference, and no index would serve it
    search_help_text = "The whole id of a row"
    show_full_result_count = False
    paginator = BoundedPaginator
    ordering = ("-pk",)
    fields = readonly_fields = ("version", "set_name", "position", "source_file", "source_record", "steps", "page")

    @admin.display(description="what it says")
    def page(self, row: DatasetRow) -> str:
        version = row.version
        address = reverse("datasets:row", args=[version.dataset.name, version.number, row.set_name, row.position])
        return format_html('<a href="{}">Beside its source</a>', address)
