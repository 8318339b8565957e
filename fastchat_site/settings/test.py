"""For the tests: the real services, cheaper password hashing, errors that are seen."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests")

from .base import *  # noqa: F403
from .base import CHANNEL_LAYERS

# Of processes that share the tests among them (pytest --numprocesses) none must hear another one, on one Redis too.
_PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "")
CHANNEL_LAYERS["default"]["CONFIG"]["prefix"] = f"asgi{_PROCESS}"
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": _PROCESS}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# Most tests of a worker that is gone want to see the error at once; those of its restart set this.
WORKER_PATIENCE_S = 0.0
