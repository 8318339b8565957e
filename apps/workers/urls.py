"""The endpoint that workers call."""

from django.urls import path

from apps.workers.api import LeaseView

app_name = "workers"

urlpatterns = [
    path("workers/<uuid:worker_id>/lease", LeaseView.as_view(), name="lease"),
]
