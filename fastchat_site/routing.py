"""Every WebSocket of the site."""

from apps.conversations.routing import websocket_urlpatterns

__all__ = ["websocket_urlpatterns"]
