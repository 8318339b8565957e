"""The operator's own servers, when the site is told to use them instead of the embedded ones."""

from collections.abc import Mapping

import psycopg
import redis

from .errors import BadOption

TIMEOUT_S = 3


def check_external_servers(environ: Mapping[str, str]) -> None:
    """Say at once which of the two servers that the operator names does not answer.

    Django's connection pool would give up after 20 s without the reason, and Celery would wait in silence.

    Raises:
        BadOption: one does not answer; the message leaves out its URL, which may hold a password.
    """
    if url := environ.get("DATABASE_URL"):
        _check_postgres(url)
    if (url := environ.get("REDIS_URL")) and not _answers(url):
        raise BadOption("The server at REDIS_URL does not answer: start it, or unset REDIS_URL to use the site's own.")


def _check_postgres(url: str) -> None:
    try:
        with psycopg.connect(url, connect_timeout=TIMEOUT_S):
            return
    except psycopg.ProgrammingError:  # spelt for Django, with options that libpq does not know: `migrate` will tell
        return
    except psycopg.OperationalError as exc:
        raise BadOption(
            f"The server at DATABASE_URL cannot be used ({str(exc).strip()}): start it or correct the URL, "
            "or unset DATABASE_URL to use the site's own."
        ) from exc


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
    except ValueError as exc:
        raise BadOption(f"REDIS_URL is no address of a Redis server: {exc}.") from exc
