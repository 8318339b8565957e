"""Workers' access tokens at rest: encrypted for their address, migrated, encrypted anew, unreadable."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from apps.core.sealing import SecretUnreadable
from apps.workers import selectors
from apps.workers.models import Worker

from .leases import lease_body, loaded, put_lease

WORKER = uuid.UUID(int=1)


def put_worker(client: Client) -> Worker:
    assert put_lease(client, WORKER, lease_body(loaded("tiny"))).status_code == 200
    return Worker.objects.get()


def stored() -> str:
    """All that the database holds of workers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(w)::text FROM workers_worker w")
        return str(cursor.fetchall())


def test_a_leased_token_is_stored_encrypted_and_sent_to_its_worker(client: Client, db: None) -> None:
    worker = put_worker(client)
    assert "worker-secret" not in stored()
    target = selectors.target_of(worker)
    assert target.headers == {"Authorization": "Bearer worker-secret"}
    assert "worker-secret" not in repr(target)


def test_a_token_does_not_go_to_an_address_that_was_written_past_the_site(client: Client, db: None) -> None:
    put_worker(client)
    Worker.objects.update(base_url="http://elsewhere.example")
    worker = Worker.objects.get()
    with pytest.raises(SecretUnreadable):
        _ = worker.access_token
    assert "worker-secret" not in str(selectors.target_of(worker).headers)


def test_tokens_are_encrypted_anew_all_or_none(client: Client, db: None, settings: Any, capsys: Any) -> None:
    old, new = "o" * 40, "n" * 40
    settings.ENCRYPTION_KEYS = [old]
    put_worker(client)
    settings.ENCRYPTION_KEYS = [new]
    with pytest.raises(CommandError, match="ENCRYPTION_KEYS"):
        call_command("workers", "reseal")
    settings.ENCRYPTION_KEYS = [new, old]
    call_command("workers", "reseal")
    assert "encrypted anew: 1" in capsys.readouterr().out
    settings.ENCRYPTION_KEYS = [new]
    assert Worker.objects.get().access_token == "worker-secret"


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Any]:
    """Moves the workers' tables; they are brought up to date again afterwards."""

    def to(name: str) -> Any:
        executor = MigrationExecutor(connection)
        executor.migrate([("workers", name)])
        return executor.loader.project_state([("workers", name)]).apps.get_model("workers", "Worker")

    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    yield to
    MigrationExecutor(connection).migrate(latest)


def test_tokens_that_are_there_are_encrypted_and_back(migrate: Any) -> None:
    before = migrate("0005_find_answers_of_a_model")
    before.objects.create(public_id=WORKER, base_url="http://10.0.0.1:8000", access_token="worker-secret")
    before.objects.create(public_id=uuid.UUID(int=2), base_url="", access_token="")

    migrate("0006_encrypt_access_tokens")
    assert "worker-secret" not in stored()
    both = Worker.objects.only("sealed_token", "base_url").order_by("public_id")
    assert [worker.access_token for worker in both] == ["worker-secret", ""]

    back = migrate("0005_find_answers_of_a_model")
    assert list(back.objects.order_by("public_id").values_list("access_token", flat=True)) == ["worker-secret", ""]
