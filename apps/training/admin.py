"""Admin pages of training runs: progress, loss and outcome, all read-only. No training text is shown."""

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from apps.training.models import TrainingRun, TrainingStep

_STEPS_SHOWN = 20


class RecentStepsInline(TabularInline):
    model = TrainingStep
    verbose_name_plural = f"the last {_STEPS_SHOWN} steps"
    extra = 0
    can_delete = False
    ordering = ("-step",)
    fields = readonly_fields = ("step", "loss", "learning_rate", "tokens_per_s")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingStep]:
        # A slice could not be filtered by run afterwards; a run has thousands of steps.
        queryset: QuerySet[TrainingStep] = super().get_queryset(request)
        return queryset.filter(step__gt=F("run__last_step") - _STEPS_SHOWN)

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(TrainingRun)
class TrainingRunAdmin(ModelAdmin):
    list_display = ("name", "short_id", "method", "state", "progress", "last_loss", "created_at", "finished_at")
    list_filter = ("status", "method", "name", "created_at")
    search_fields = ("name", "public_id", "config_hash", "code_version", "error_code")
    date_hierarchy = "created_at"
    inlines = (RecentStepsInline,)
    fields = readonly_fields = (
        "public_id",
        "name",
        "method",
        "state",
        "progress",
        "last_loss",
        "accuracy",
        "output_directory",
        "device",
        "dtype",
        "config",
        "config_hash",
        "data_hash",
        "code_version",
        "pid",
        "lease_expires_at",
        "created_at",
        "started_at",
        "finished_at",
        "error_code",
        "error_message",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # runs are started by `manage.py train`

    @admin.display(description="id")
    def short_id(self, run: TrainingRun) -> str:
        return str(run.public_id)[:8]

    @admin.display(description="state", ordering="status")
    def state(self, run: TrainingRun) -> str:
        return "Interrupted" if run.is_interrupted else run.get_status_display()

    @admin.display(description="progress", ordering="last_step")
    def progress(self, run: TrainingRun) -> str:
        return f"{run.last_step}/{run.total_steps}"
