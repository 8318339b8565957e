"""The WebSocket of the chat."""

from django.urls import path

from apps.conversations.consumers import ChatConsumer

SOCKET_PATH = "/ws/chat"

websocket_urlpatterns = [path(SOCKET_PATH.removeprefix("/"), ChatConsumer.as_asgi())]
