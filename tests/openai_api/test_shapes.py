"""The doors of /v1 without a worker: keys, shapes, errors."""

import json
import uuid
from typing import Any

import pytest
from django.test import Client

from apps.accounts.services import api_key_create
from tests.workers.leases import HEADERS, failed, lease_body, loading, put_lease

# Transactional: the async views read from a thread with a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key(db: None) -> str:
    return api_key_create(name="test", user=None).secret


def post(client: Client, key: str, body: Any, path: str = "/v1/chat/completions") -> Any:
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(path, data, content_type="application/json", headers={"Authorization": f"Bearer {key}"})


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]} | changes


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/models/tiny", "/v1/chat/completions", "/v1/embeddings", "/api/v1/token_check", "/v1/whatever"],
)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nonsense", "Basic abc", "Bearer \x7f"])
def test_every_door_wants_a_key_first(client: Client, path: str, header: str | None) -> None:
    reply = client.get(path, headers={} if header is None else {"Authorization": header})
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "invalid_api_key"
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert reply["x-request-id"]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ("{broken", None, "invalid_json"),
        ("[]", None, "invalid_value"),
        ("", "model", "invalid_value"),
        (chat(model=7), "model", "invalid_value"),
        (chat(model=""), "model", "invalid_value"),
        (chat(model="a\0b"), "model", "invalid_value"),
        (chat(model="\ud800"), "model", "invalid_value"),
        (chat(stream="yes"), "stream", "invalid_value"),
        ({"model": "tiny"}, "messages", "missing_required_parameter"),
    ],
)
def test_a_malformed_body_is_refused_by_field(
    client: Client, key: str, body: Any, param: str | None, code: str
) -> None:
    reply = post(client, key, body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")


def test_an_unknown_model_is_not_found(client: Client, key: str) -> None:
    reply = post(client, key, chat(model="nope"))
    assert reply.status_code == 404
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "nope" in error["message"]
    headers = {"Authorization": f"Bearer {key}"}
    assert client.get("/v1/models/nope", headers=headers).json()["error"]["code"] == "model_not_found"


def test_a_model_that_is_not_there_yet_says_so(client: Client, key: str) -> None:
    put_lease(client, uuid.UUID(int=1), lease_body(loading("tiny", 0.25), failed("broken", "no safetensors")))
    reply = post(client, key, chat())
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_loading")
    assert "25 %" in reply.json()["error"]["message"]
    assert reply["Retry-After"] == "2"

    reply = post(client, key, chat(model="broken"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_failed")

    client.delete(f"/internal/workers/{uuid.UUID(int=1)}/lease", headers=HEADERS)
    assert post(client, key, chat()).json()["error"]["code"] == "no_worker"


def test_an_unknown_endpoint_and_a_wrong_method_answer_in_json(client: Client, key: str) -> None:
    reply = post(client, key, {}, path="/v1/images/generations")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_endpoint")
    reply = client.get("/v1/chat/completions", headers={"Authorization": f"Bearer {key}"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "method_not_allowed")


def test_the_callers_request_id_is_kept_when_it_is_plain(client: Client) -> None:
    assert client.get("/v1/models", headers={"X-Request-ID": "trace-12345678"})["x-request-id"] == "trace-12345678"
    assert client.get("/v1/models", headers={"X-Request-ID": "a b<script>"})["x-request-id"] != "a b<script>"
