"""For the tests: the real services, cheaper password hashing, errors that are seen."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests")

from .base import *  # noqa: F403
from .base import DATABASES as _DATABASES

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# A pool keeps connections open, and a test database with open connections cannot be dropped.
for _database in _DATABASES.values():
    _database["OPTIONS"].pop("pool", None)

# Most tests of a worker that is gone want to see the error at once; those of its restart set this.
WORKER_PATIENCE_S = 0.0
