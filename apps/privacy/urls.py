"""Pages of privacy."""

from django.urls import path

from apps.privacy import views

app_name = "privacy"

urlpatterns = [
    path("erase", views.erase, name="erase"),
    path("erasures/<uuid:public_id>", views.erasure, name="erasure"),
]
