"""The ASGI application: HTTP by Django, the chat socket by Channels."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fastchat_site.settings.dev")

# Before anything that imports models.
http_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from apps.core.body_limit import BodyLimit  # noqa: E402
from apps.openai_api.upload_limit import body_limit  # noqa: E402
from fastchat_site.lifespan import lifespan  # noqa: E402
from fastchat_site.programs import Programs, by_path  # noqa: E402
from fastchat_site.routing import websocket_urlpatterns  # noqa: E402
from fastchat_site.static_files import StaticFiles  # noqa: E402

if settings.SERVES_STATIC_FILES:
    http_application = StaticFiles(http_application)

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(by_path(Programs(), http_application), body_limit),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
        "lifespan": lifespan,
    }
)
