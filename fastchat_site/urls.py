"""Every URL of the site, by app."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    # First: of /chat it takes what scripts ask for, and leaves the page to the conversations.
    path("", include("apps.openai_api.urls")),
    path("", include("apps.conversations.urls")),
    path("", include("apps.arena.urls")),
    path("", include("apps.datasets.urls")),
    path("", include("apps.leaderboard.urls")),
    path("", include("apps.core.urls")),
    path("accounts/", include("allauth.urls")),
    path("account/", include("apps.accounts.urls")),
    path("account/", include("apps.moderation.urls")),
    path("account/", include("apps.appeals.urls")),
    path("account/", include("apps.consents.urls")),
    path("account/", include("apps.privacy.urls")),
    path("internal/", include("apps.workers.urls")),
    path("admin/", admin.site.urls),
]
