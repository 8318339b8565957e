"""Keys that are for some endpoints open no files and batches but those that they are for."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.key_scope import KeyScope
from apps.accounts.models import Endpoint, User
from apps.accounts.services import api_key_create

DOORS = [
    ("get", "/v1/files"),
    ("post", "/v1/files"),
    ("get", "/v1/files/{file}"),
    ("get", "/v1/files/{file}/content"),
    ("delete", "/v1/files/{file}"),
    ("get", "/v1/batches"),
    ("post", "/v1/batches"),
    ("get", "/v1/batches/batch_0"),
    ("post", "/v1/batches/batch_0/cancel"),
]


def headers_of(user: User, *endpoints: Endpoint) -> dict[str, str]:
    new = api_key_create(name="+".join(endpoints) or "all", user=user, scope=KeyScope(endpoints=list(endpoints)))
    return {"Authorization": f"Bearer {new.secret}"}


@pytest.fixture
def file_id(client: Client, alice: User) -> str:
    sent = {"file": SimpleUploadedFile("in.jsonl", b"{}"), "purpose": "batch"}
    made: Any = client.post("/v1/files", sent, headers=headers_of(alice))
    assert made.status_code == 200
    return str(made.json()["id"])


@pytest.mark.parametrize(("verb", "path"), DOORS)
def test_a_key_for_chats_opens_none_of_its_owners_files_and_batches(
    client: Client, alice: User, file_id: str, verb: str, path: str
) -> None:
    reply = getattr(client, verb)(path.format(file=file_id), headers=headers_of(alice, Endpoint.CHAT))
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "endpoint_not_allowed")


def test_a_key_for_files_opens_files_and_one_for_batches_batches(client: Client, alice: User, file_id: str) -> None:
    files, batches = headers_of(alice, Endpoint.FILES), headers_of(alice, Endpoint.BATCHES)

    assert client.get(f"/v1/files/{file_id}", headers=files).status_code == 200
    assert client.get("/v1/batches", headers=batches).status_code == 200
    assert client.get("/v1/batches", headers=files).status_code == 403
    assert client.get(f"/v1/files/{file_id}", headers=batches).status_code == 403
