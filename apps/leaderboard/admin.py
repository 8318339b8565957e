"""Admin pages of the leaderboard: boards can be looked at, and neither made, changed nor deleted there."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core.admin import RecordAdmin
from apps.leaderboard.models import ImportedFile, Refresh, Snapshot


@admin.register(Snapshot)
class SnapshotAdmin(RecordAdmin):
    list_display = ("public_id", "arena", "n_votes", "created_at")
    list_filter = ("arena", "created_at")
    list_select_related = ("arena",)
    search_fields = ("public_id", "votes_hash")
    fields = readonly_fields = (
        "public_id",
        "arena",
        "n_votes",
        "base",
        "votes_hash",
        "code_version",
        "config",
        "imports",
        "board",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        queryset: QuerySet[Snapshot] = super().get_queryset(request)
        return queryset.defer("votes", "pairs", "contestants", "config", "board")


@admin.register(Refresh)
class RefreshAdmin(RecordAdmin):
    """Whether boards are kept up to date, and if not, why the old one stays."""

    list_display = ("arena", "tried_at", "refusal_code", "refusal", "busy_until")
    list_filter = ("refusal_code",)
    list_select_related = ("arena",)
    fields = readonly_fields = ("arena", "tried_at", "refusal_code", "refusal", "seen_vote", "busy_until")


@admin.register(ImportedFile)
class ImportedFileAdmin(RecordAdmin):
    """Battles of other sites: `manage.py leaderboard import` and `withdraw` bring and take them."""

    list_display = ("name", "arena", "n_rows", "n_battles", "imported_at", "withdrawn_at")
    list_filter = ("arena",)
    list_select_related = ("arena",)
    search_fields = ("name", "sha256")
    fields = readonly_fields = (
        "public_id",
        "arena",
        "name",
        "sha256",
        "n_rows",
        "n_battles",
        "dropped",
        "imported_at",
        "withdrawn_at",
    )
