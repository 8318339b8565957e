"""The WebSocket of the arena."""

from django.urls import path

from apps.arena.consumers import ArenaConsumer

SOCKET_PATH = "/ws/arena"

websocket_urlpatterns = [path(SOCKET_PATH.removeprefix("/"), ArenaConsumer.as_asgi())]
