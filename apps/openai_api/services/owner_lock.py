"""What an owner has is counted under this lock, so that two requests at once do not both find room for one."""

from django.db import connection

from apps.accounts.actors import Actor

_LOCK = 7002
"""Of our advisory locks the one for owners; it goes into the hash with the owner's name."""


def owner_lock(actor: Actor) -> None:
    """Hold it until the transaction ends. Whoever else counts for this owner waits."""
    owner = f"key {actor.api_key_id}" if actor.user_id is None else f"user {actor.user_id}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [owner, _LOCK])
