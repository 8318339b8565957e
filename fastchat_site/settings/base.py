"""Settings that hold everywhere. The environment is read here and in the sibling modules, nowhere else.

Every variable is described in docs/settings.md; a test compares that table with this folder.
"""

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from kombu.entity import Queue

from apps.workers.dispatch import Method

from .networks import networks
from .values import flag, seconds, whole

BASE_DIR = Path(__file__).resolve().parents[2]

env = environ.Env()

# --- What the site is made of -----------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",  # first: it replaces runserver with one that speaks ASGI
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "rest_framework",
    "adrf",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "fastchat_site",
    "apps.core",
    "apps.gateway",
    "apps.accounts",
    "apps.holds",
    "apps.consents",
    "apps.catalog",
    "apps.workers",
    "apps.moderation",
    "apps.appeals",
    "apps.conversations",
    "apps.arena",
    "apps.datasets",
    "apps.leaderboard",
    "apps.openai_api",
    "apps.training",
    "apps.privacy",
]

MIDDLEWARE = [
    "apps.core.middleware.request_id",
    "apps.core.middleware.client_network",
    "django.middleware.security.SecurityMiddleware",
    "apps.core.middleware.security_headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "fastchat_site.urls"
ASGI_APPLICATION = "fastchat_site.asgi.application"
APPEND_SLASH = True

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.core.context_processors.site",
            ],
            "builtins": ["apps.core.templatetags.icons"],
        },
    },
]

# --- State: Postgres holds all of it, Redis only hints and the job queue ----------------------------------------------

# `launch` makes the embedded services and hands their URLs to its children, so it runs before these are known.
DATABASE_POOL_SIZE = 16
DATABASES: dict[str, Any] = {}
if env.str("DATABASE_URL", ""):
    DATABASES["default"] = env.db_url("DATABASE_URL") | {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
    # The URL may bring options of its own: the folder of a unix socket is one.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 1,
        "max_size": DATABASE_POOL_SIZE,
        "timeout": 20,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "")
CHANNEL_LAYERS: dict[str, Any] = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_DEFAULT_QUEUE = "default"
# A process of jobs takes from its queues in turn: other jobs do not wait behind all the batches that there are.
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("default", "batches")]
CELERY_TASK_ROUTES = {
    "openai_api.batch_advance_task": {"queue": "batches"},
    "datasets.chunk_run_task": {"queue": "data"},
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    # One that was not begun before the next is due has nothing to add to it.
    "batches-advance": {"task": "openai_api.batches_advance_task", "schedule": 10.0, "options": {"expires": 10.0}},
    "responses-run": {"task": "openai_api.responses_run_task", "schedule": 10.0, "options": {"expires": 10.0}},
    "generations-recover": {"task": "conversations.generations_recover_task", "schedule": 10.0},
    "boards-refresh": {"task": "leaderboard.boards_refresh_task", "schedule": 600.0, "options": {"expires": 600.0}},
    "images-prune": {"task": "conversations.images_prune_task", "schedule": 3600.0},
    "ledger-tidy": {"task": "accounts.ledger_tidy_task", "schedule": 60.0},
    "providers-check": {"task": "workers.providers_check_task", "schedule": 300.0, "options": {"expires": 300.0}},
    "retention": {"task": "privacy.retention_task", "schedule": 3600.0, "options": {"expires": 3600.0}},
    "erasures-advance": {"task": "privacy.erasures_advance_task", "schedule": 10.0, "options": {"expires": 10.0}},
}

# --- Secrets and who may come in --------------------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY", "")
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[])
if ENCRYPTION_KEYS and len(ENCRYPTION_KEYS[0]) < 32:
    raise ImproperlyConfigured("ENCRYPTION_KEYS: the first key needs at least 32 random characters")
if SECRET_KEY and not ENCRYPTION_KEYS:
    ENCRYPTION_KEYS = [SECRET_KEY]
TRUSTED_PROXIES = networks("TRUSTED_PROXIES", env.list("TRUSTED_PROXIES", default=[]))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_REDIRECT_URL = "home"
LOGIN_URL = "account_login"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
# Mail needs a server of the operator's; without one an address cannot be verified and nobody could sign up.
ACCOUNT_EMAIL_VERIFICATION = env.str("ACCOUNT_EMAIL_VERIFICATION", "none")
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- The product ------------------------------------------------------------------------------------------------------

VISITORS_MAY_CHAT = flag("VISITORS_MAY_CHAT", env.str("VISITORS_MAY_CHAT", "true"))
MESSAGE_MAX_CHARS = 100_000
DISPATCH_METHOD = env.str("DISPATCH_METHOD", "shortest_queue")
QUEUE_MAX = whole("QUEUE_MAX", env.str("QUEUE_MAX", "1000"))
QUEUE_MAX_PER_VISITOR = whole("QUEUE_MAX_PER_VISITOR", env.str("QUEUE_MAX_PER_VISITOR", "4"))
QUEUE_MAX_PER_USER = whole("QUEUE_MAX_PER_USER", env.str("QUEUE_MAX_PER_USER", "32"))
QUEUE_MAX_PER_KEY = whole("QUEUE_MAX_PER_KEY", env.str("QUEUE_MAX_PER_KEY", "256"))
QUEUE_WAIT_S = seconds("QUEUE_WAIT_S", env.str("QUEUE_WAIT_S", "300"))
WORKER_PATIENCE_S = seconds("WORKER_PATIENCE_S", env.str("WORKER_PATIENCE_S", "30"))
REQUEST_LOG_DAYS = whole("REQUEST_LOG_DAYS", env.str("REQUEST_LOG_DAYS", "14"))
MODERATION_LOG_DAYS = whole("MODERATION_LOG_DAYS", env.str("MODERATION_LOG_DAYS", "90"))
API_RESPONSE_DAYS = whole("API_RESPONSE_DAYS", env.str("API_RESPONSE_DAYS", "30"))
OUTBOUND_ALLOWED_NETWORKS = networks("OUTBOUND_ALLOWED_NETWORKS", env.list("OUTBOUND_ALLOWED_NETWORKS", default=[]))
OUTBOUND_CA_FILE = env.str("OUTBOUND_CA_FILE", "")
HF_ENDPOINT = env.str("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
HF_TOKEN = env.str("HF_TOKEN", "")
if OUTBOUND_CA_FILE and not Path(OUTBOUND_CA_FILE).is_file():
    raise ImproperlyConfigured(f"OUTBOUND_CA_FILE: there is no file {OUTBOUND_CA_FILE}")
if DISPATCH_METHOD not in set(Method):
    raise ImproperlyConfigured(f"DISPATCH_METHOD is {DISPATCH_METHOD!r}; it must be one of {', '.join(Method)}")
API_FILE_MAX_BYTES = whole("API_FILE_MAX_BYTES", env.str("API_FILE_MAX_BYTES", str(100 * 1024 * 1024)))
API_FILES_MAX_BYTES = whole("API_FILES_MAX_BYTES", env.str("API_FILES_MAX_BYTES", str(1024 * 1024 * 1024)))
SITE_NAME = env.str("SITE_NAME", "FastChat Site")

# --- Languages, time, files -------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
SERVES_STATIC_FILES = True

# Bodies are capped before they are read; the API has its own, larger cap for prompts.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.parsers.BoundedJsonParser"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

SPECTACULAR_SETTINGS = {
    "TITLE": SITE_NAME,
    "DESCRIPTION": "An OpenAI-compatible API. Send `Authorization: Bearer YOUR_KEY` with every request.",
    "VERSION": "1",
    "OAS_VERSION": "3.0.3",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "PREPROCESSING_HOOKS": ["apps.openai_api.schema.describe.only_the_api"],
    "POSTPROCESSING_HOOKS": ["apps.openai_api.schema.describe.with_required_bodies"],
    "APPEND_COMPONENTS": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    # From a Python package: nothing is loaded from elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}

UNFOLD = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/icon.svg")}],
    "SIDEBAR": {"navigation": "fastchat_site.admin_navigation.sidebar"},
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"without_query": {"()": "apps.core.logs.WithoutQuery"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "access": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["without_query"]},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # One line per outgoing request is noise: the worker client reports what went wrong by itself.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        # The hub's client; the addresses to which it sends large files are signed.
        "httpx2": {"level": "WARNING"},
        "uvicorn.access": {"handlers": ["access"], "propagate": False},
    },
}
