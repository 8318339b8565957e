"""Durations as settings give them: loud on nonsense."""

from math import inf

from django.core.exceptions import ImproperlyConfigured


def seconds(name: str, text: str) -> float:
    """Read the setting `name`: a finite number, 0 or more. Raises: ImproperlyConfigured, naming the setting.

    `environ.Env.float` drops every character that it does not know: `5 min` would be 5 and `1e3` would be 13.
    """
    try:
        value = float(text)
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} is {text!r}; give a number of seconds such as 30") from exc
    if not 0 <= value < inf:
        raise ImproperlyConfigured(f"{name} is {text!r}; it must be a finite number of seconds, 0 or more")
    return value
