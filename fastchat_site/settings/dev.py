"""For one machine and `manage.py launch`: static files straight from their folders, plain HTTP."""

from .base import *  # noqa: F403
from .base import SECRET_KEY as _SECRET_KEY

DEBUG = False

# Commands that touch no session or signature (`launch`, `help`) run before a key exists. `launch` keeps one in the data
# directory and passes it on, so that the site's own processes never see this one.
SECRET_KEY = _SECRET_KEY or "not-a-secret-only-for-commands-that-sign-nothing"
