"""Pages of the chat. `home` leads to a new conversation."""

from django.urls import include, path
from django.views.generic import RedirectView

from apps.conversations import views

chat_patterns = (
    [
        path("chat", views.chat_new, name="new"),
        path("chat/history", views.history, name="history"),
        path("chat/models", views.models, name="models"),
        path("chat/<uuid:conversation_id>", views.chat_conversation, name="conversation"),
        path("chat/<uuid:conversation_id>/rename", views.rename, name="rename"),
        path("chat/<uuid:conversation_id>/delete", views.delete, name="delete"),
    ],
    "chat",
)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="chat:new"), name="home"),
    path("", include(chat_patterns)),
]
