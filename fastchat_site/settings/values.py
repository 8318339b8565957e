"""Numbers and switches as settings give them: loud on nonsense, and by the setting's name.

`environ.Env` is not: of a float it drops every character that it does not know, so that `5 min` would be 5 and `1e3`
would be 13; an int that is none is told without its name; and any text that it does not know is False.
"""

import re
from math import inf

from django.core.exceptions import ImproperlyConfigured

MAX_DIGITS = 18

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def seconds(name: str, text: str) -> float:
    """Read the setting `name`: a finite number, 0 or more. Raises: ImproperlyConfigured, naming the setting."""
    try:
        value = float(text)
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} is {text!r}; give a number of seconds such as 30") from exc
    if not 0 <= value < inf:
        raise ImproperlyConfigured(f"{name} is {text!r}; it must be a finite number of seconds, 0 or more")
    return value


def whole(name: str, text: str, *, least: int = 1) -> int:
    """Read the setting `name`: a whole number in digits. Raises: ImproperlyConfigured, naming the setting."""
    if not re.fullmatch(rf"[0-9]{{1,{MAX_DIGITS}}}", text.strip()) or int(text) < least:
        raise ImproperlyConfigured(f"{name} is {text!r}; it must be a whole number in digits, {least} or more")
    return int(text)


def flag(name: str, text: str) -> bool:
    """Read the setting `name`: a switch. Raises: ImproperlyConfigured, naming the setting."""
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise ImproperlyConfigured(f"{name} is {text!r}; it must be one of {', '.join(TRUE + FALSE)}")
    return word in TRUE
