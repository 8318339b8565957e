"""Pages of moderation outside the admin."""

from django.urls import path

from apps.moderation import views

app_name = "moderation"

urlpatterns = [path("openings", views.openings, name="openings")]
