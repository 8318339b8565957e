"""What the site's log must not say: words that somebody searched for, and names by which programs call their people."""

import logging

from django.utils.crypto import salted_hmac

N_DIGITS = 16


class WithoutQuery(logging.Filter):
    """Takes the query out of the addresses in uvicorn's access log: `/chats/search?q=…` has what somebody searched for.

    Source: uvicorn, `uvicorn.logging.AccessFormatter`: the arguments are client, method, path, HTTP version, status.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, *rest = record.args
            record.args = (client, method, str(path).partition("?")[0], *rest)
        return True


def pseudonym(name: str) -> str:
    """A number for a name, the same each time. Keyed by SECRET_KEY, so that nobody else gets from one to the other."""
    return salted_hmac("core.pseudonym", name, algorithm="sha256").hexdigest()[:N_DIGITS]
