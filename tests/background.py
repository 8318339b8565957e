"""Work in a second thread, with a database connection of its own, and whether it waits for the first one's."""

import threading
from collections.abc import Callable

from django.db import connection, connections


def is_somebody_waiting_for_a_lock() -> bool:
    """In the tests' own database."""
    statement = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the first look again and again
        cursor.execute(statement)
        return cursor.fetchone() is not None


def in_background(function: Callable[[], object]) -> threading.Thread:
    """Start it in a thread, with a database connection that is closed at its end."""

    def call() -> None:
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=call)
    thread.start()
    return thread
