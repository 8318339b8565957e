"""The OpenAI-compatible endpoints."""

from django.urls import path, re_path

from apps.openai_api import api

app_name = "openai_api"

urlpatterns = [
    path("models", api.ModelList.as_view(), name="models"),
    path("models/<path:name>", api.ModelDetail.as_view(), name="model"),
    path("chat/completions", api.ChatCompletions.as_view(), name="chat-completions"),
    re_path(r"^.*$", api.UnknownEndpoint.as_view(), name="unknown"),
]
