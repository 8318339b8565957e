"""For production behind a proxy that ends TLS: nothing has a default that would be unsafe."""

from django.core.exceptions import ImproperlyConfigured

from .base import *  # noqa: F403
from .base import BASE_DIR, env
from .base import DATABASES as _DATABASES
from .base import REDIS_URL as _REDIS_URL

DEBUG = False
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")

if not _DATABASES or not _REDIS_URL:
    raise ImproperlyConfigured("production needs DATABASE_URL and REDIS_URL: set both in the environment")

# nginx serves this folder, which `collectstatic` fills: see deploy/nginx/.
SERVES_STATIC_FILES = False
STATIC_ROOT = env.path("STATIC_ROOT", BASE_DIR / "staticfiles")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
# Workers inside the cluster enrol over plain HTTP with a token.
SECURE_REDIRECT_EXEMPT = [r"^internal/", r"^health$", r"^ready$"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
