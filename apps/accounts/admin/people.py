"""Admin pages of accounts. Keys show what they are for and when they were used, never themselves."""

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.accounts import services
from apps.accounts.models import ApiKey, User, Visitor
from apps.core.admin import KeptAdmin

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False  # "Erasures" take what is theirs everywhere; to keep somebody out, switch "active" off


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(Visitor)
class VisitorAdmin(KeptAdmin):
    """ "Erasures" take what is theirs everywhere."""

    list_display = ("public_id", "created_at")
    search_fields = ("public_id",)
    readonly_fields = ("public_id", "created_at")


@admin.register(ApiKey)
class ApiKeyAdmin(KeptAdmin):
    """A key is revoked: deleted, it would take with it what programs made by it."""

    list_display = ("name", "prefix", "user", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username")
    fields = readonly_fields = (
        "name",
        "prefix",
        "previous_prefix",
        "previous_expires_at",
        "user",
        "model_names",
        "endpoints",
        "ip_ranges",
        "expires_at",
        "created_at",
        "last_used_at",
        "revoked_at",
    )
    actions = ("revoke",)

    @admin.action(description="Revoke")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            services.api_key_revoke(key)
            self.log_change(request, key, "revoked by action")
        self.message_user(request, f"{len(queryset)} key(s) revoked.", messages.SUCCESS)
