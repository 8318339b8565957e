"""For the tests: the real services, cheaper password hashing, errors that are seen."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests")

from .base import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

# Most tests of a worker that is gone want to see the error at once; those of its restart set this.
WORKER_PATIENCE_S = 0.0
