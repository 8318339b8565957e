"""Pages of appeals."""

from django.urls import path

from apps.appeals import views

app_name = "appeals"

urlpatterns = [
    path("appeals", views.appeals, name="appeals"),
    path("appeals/<int:pk>", views.make, name="make"),
    path("appeals/bans/<int:pk>", views.make_of_ban, name="make-of-ban"),
]
