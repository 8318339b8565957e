"""The operator's own servers, when the site is told to use them instead of the embedded ones."""

from collections.abc import Mapping

import redis

from .errors import BadOption

TIMEOUT_S = 3.0


def check_external_redis(environ: Mapping[str, str]) -> None:
    """Say at once that the server at REDIS_URL does not answer; Celery would wait for it in silence.

    Postgres needs no such check: `migrate` fails loudly.

    Raises:
        BadOption: it does not answer; the message leaves out the URL, which may hold a password.
    """
    url = environ.get("REDIS_URL")
    if url and not _answers(url):
        raise BadOption("The server at REDIS_URL does not answer: start it, or unset REDIS_URL to use the site's own.")


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
    except ValueError as exc:
        raise BadOption(f"REDIS_URL is no address of a Redis server: {exc}.") from exc
