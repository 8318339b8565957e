"""Where answers about training are sent."""

from django.urls import path

from apps.consents import views

app_name = "consents"

urlpatterns = [path("training", views.answer, name="answer")]
