"""Pages of one's own account beside those of allauth."""

from django.urls import path

from apps.accounts import views

app_name = "accounts"

urlpatterns = [
    path("keys", views.keys, name="keys"),
    path("keys/<int:pk>/revoke", views.key_revoke, name="key-revoke"),
]
