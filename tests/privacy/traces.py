"""Looks for a text wherever the site could have left it: in every table, in Redis, in files and in logs."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection
from redis import Redis

COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' AND table_name IN
    (SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE')
"""
OF_POSTGRES = "postgres"
"""Postgres' own files keep deleted rows until they are vacuumed and written over: docs/privacy.md says so."""


def in_tables(text: str) -> set[str]:
    """`table.column` of every column, of whatever type, with the text in it, as letters or as bytes."""
    found = set()
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        for table, column, kind in cursor.fetchall():
            if kind == "bytea":
                is_there = f'position(%s::bytea IN "{column}") > 0'
            else:
                is_there = f'position(lower(%s) IN lower("{column}"::text)) > 0'
            cursor.execute(f'SELECT 1 FROM "{table}" WHERE {is_there} LIMIT 1', [text])  # noqa: S608
            if cursor.fetchone():
                found.add(f"{table}.{column}")
    return found


def in_redis(text: str) -> set[str]:
    """Keys with the text in their name or in anything that they hold."""
    with Redis.from_url(settings.REDIS_URL, decode_responses=True) as redis:
        return {key for key in redis.scan_iter() if text.lower() in f"{key} {_held(redis, key)}".lower()}


def _held(redis: "Redis", key: str) -> object:
    match redis.type(key):
        case "string":
            return redis.get(key)
        case "list":
            return redis.lrange(key, 0, -1)
        case "set":
            return redis.smembers(key)
        case "zset":
            return redis.zrange(key, 0, -1)
        case "hash":
            return redis.hgetall(key)
        case "stream":
            return redis.xrange(key)
    raise AssertionError(f"what {key} is has no reader here")


def in_files(text: str, folder: Path) -> set[str]:
    """Files of a data directory with the text in their name or content."""
    return {str(path) for path in _files(folder) if text.lower().encode() in _all_of(path).lower()}


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).parts[0] != OF_POSTGRES:
            yield path


def _all_of(path: Path) -> bytes:
    return str(path).encode() + path.read_bytes()
