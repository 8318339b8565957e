"""Pages of one's own account beside those of allauth."""

from django.urls import path, re_path

from apps.accounts.views import keys, usage

app_name = "accounts"

urlpatterns = [
    path("keys", keys.keys, name="keys"),
    path("keys/<int:pk>/rotate", keys.key_rotate, name="key-rotate"),
    path("keys/<int:pk>/revoke", keys.key_revoke, name="key-revoke"),
    path("usage", usage.usage, name="usage"),
    re_path(r"^usage\.(?P<suffix>csv|json)$", usage.usage_export, name="usage-export"),
]
