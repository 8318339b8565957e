"""Every WebSocket of the site."""

from apps.arena import routing as arena
from apps.conversations import routing as conversations

__all__ = ["websocket_urlpatterns"]

websocket_urlpatterns = [*conversations.websocket_urlpatterns, *arena.websocket_urlpatterns]
