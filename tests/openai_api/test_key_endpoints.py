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


def test_a_key_for_some_models_sees_what_it_made_and_nothing_else_of_its_owner(
    client: Client, alice: User, bob: User, file_id: str
) -> None:
    """What others made may hold answers of models that it may not ask."""
    scope = KeyScope(model_names=["tiny"])
    restricted, bobs = (
        {"Authorization": f"Bearer {api_key_create(name='tiny', user=user, scope=scope).secret}"}
        for user in (alice, bob)
    )
    sent = {"file": SimpleUploadedFile("own.jsonl", b"{}"), "purpose": "batch"}
    own: Any = client.post("/v1/files", sent, headers=restricted).json()["id"]

    assert [file["id"] for file in client.get("/v1/files", headers=restricted).json()["data"]] == [own]
    assert client.get(f"/v1/files/{own}/content", headers=restricted).status_code == 200
    for verb, path in [("get", ""), ("get", "/content"), ("delete", "")]:
        assert getattr(client, verb)(f"/v1/files/{file_id}{path}", headers=restricted).status_code == 404
        assert getattr(client, verb)(f"/v1/files/{own}{path}", headers=bobs).status_code == 404
    batch = {"input_file_id": file_id, "endpoint": "/v1/completions", "completion_window": "24h"}
    made = client.post("/v1/batches", batch, content_type="application/json", headers=restricted)
    assert made.status_code == 404
    everything = headers_of(alice, Endpoint.FILES)
    assert {file["id"] for file in client.get("/v1/files", headers=everything).json()["data"]} == {own, file_id}
