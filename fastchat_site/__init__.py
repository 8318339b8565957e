"""Composition root: settings, URLs, ASGI, Celery and the launcher. It knows every app and holds no business rule."""
