"""The test database after a test that commits: as empty as at first."""

from django.core.management.color import no_style
from django.db import DatabaseError, connection, transaction
from django.test import TransactionTestCase
from psycopg import sql

from apps.arena.signals import open_the_first_arena

STAY = {"django_content_type", "auth_permission"}
"""They follow from the code. Django's own `flush` makes all of them anew, by hundreds of queries after each test."""


def tables_empty(test: TransactionTestCase) -> None:
    """In the place of `TransactionTestCase._fixture_teardown`, which calls `flush`."""
    assert test.available_apps is None
    assert not test.serialized_rollback
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - STAY)
    try:
        _delete_all(tables)
    except DatabaseError:  # a trigger keeps a row, as of what is under a legal hold; TRUNCATE asks no trigger
        connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))
    open_the_first_arena()


def _delete_all(tables: list[str]) -> None:
    """Of the few tables in which there is anything: a TRUNCATE of all of them takes ten times as long."""
    every = [sql.Identifier(table) for table in tables]
    with transaction.atomic(), connection.cursor() as cursor:
        # As TRUNCATE does, it waits for whoever still writes.
        cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.SQL(", ").join(every)))
        asked = sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})")
        questions = [asked.format(sql.Literal(name), table) for name, table in zip(tables, every, strict=True)]
        cursor.execute(sql.SQL(" UNION ALL ").join(questions))
        for (name,) in cursor.fetchall():
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
