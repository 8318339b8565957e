"""The doors of /v1 without a worker: keys, shapes, errors."""

import json
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client

from apps.accounts.services import api_key_create
from apps.core.errors import NotFound
from apps.core.middleware import request_id_var
from apps.openai_api import known_fields, shapes
from apps.openai_api.api.refused import UNSUPPORTED
from apps.openai_api.errors import api_error
from gpu_worker.server.completions import parse_completion
from gpu_worker.server.embeddings import parse_embedding
from gpu_worker.server.schema import parse_chat, parse_tokenize
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
        (chat(messages=[{"role": "user", "content": "\ud800"}]), "messages", "invalid_value"),
        (chat(metadata={"\udfff": "x"}), "metadata", "invalid_value"),
        (chat(**{"\ud800": 1}), None, "invalid_value"),
        ('"\\ud800"', None, "invalid_value"),
        ('{"model": "tiny", "messages": [], "temperature": 1e400}', None, "invalid_json"),
        ('{"model": "tiny", "messages": [], "temperature": NaN}', None, "invalid_json"),
        (b'{"model": "\xff"}', None, "invalid_json"),
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


def test_a_whole_pair_of_surrogates_is_a_character(client: Client, key: str) -> None:
    reply = post(client, key, json.dumps(chat(messages=[{"role": "user", "content": "\N{GRINNING FACE}"}])))
    assert reply.json()["error"]["code"] == "model_not_found"


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
    reply = post(client, key, {}, path="/v1/whatever")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_endpoint")
    reply = client.get("/v1/chat/completions", headers={"Authorization": f"Bearer {key}"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "method_not_allowed")


def test_the_callers_request_id_is_kept_when_it_is_plain(client: Client) -> None:
    assert client.get("/v1/models", headers={"X-Request-ID": "trace-12345678"})["x-request-id"] == "trace-12345678"
    assert client.get("/v1/models", headers={"X-Request-ID": "a b<script>"})["x-request-id"] != "a b<script>"


class Recording(dict[str, object]):
    """A body that remembers which of its fields were asked for."""

    def __init__(self, *fields: object) -> None:
        super().__init__(*fields)
        self.asked: set[str] = set()

    def get(self, key: str, default: object = None) -> object:
        self.asked.add(key)
        return super().get(key, default)


@pytest.mark.parametrize(
    ("parse", "known", "body"),
    [
        (parse_chat, known_fields.CHAT, {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True}),
        (parse_completion, known_fields.COMPLETION, {"prompt": "Hi"}),
        (parse_embedding, known_fields.EMBEDDING, {"input": "Hi"}),
        (parse_tokenize, known_fields.TOKENIZE, {"prompt": "Hi"}),
        (parse_tokenize, known_fields.TOKENIZE, {"messages": [{"role": "user", "content": "Hi"}]}),
    ],
)
def test_the_site_knows_every_field_that_the_worker_knows(parse: Any, known: frozenset[str], body: Any) -> None:
    recording = Recording(body | {"model": "tiny"})
    parse(recording)
    assert recording.asked - shapes.SITES_OWN <= known
    judged_by_the_site = {"user", "safety_identifier", "metadata", *known_fields._CHANGES_THE_PROMPT}
    if parse is not parse_tokenize:  # it asks for what fits to what was given
        assert known <= recording.asked | judged_by_the_site


@pytest.mark.parametrize(
    ("names", "header"),
    [
        ((), ""),
        (("frobnicate", "user_id"), "frobnicate, user_id"),
        (("a, b\r\nX: y", "\ud800", "ü"), "a%2C%20b%0D%0AX%3A%20y, %5Cud800, %C3%BC"),
        (("x" * 65,), "x" * 64),
        (tuple("abcdefghijklmnopqrstu"), ", ".join("abcdefghijklmnopqrst") + ", ..."),
    ],
)
def test_names_of_ignored_fields_fit_a_header(names: tuple[str, ...], header: str) -> None:
    assert known_fields.ignored_header(names) == header


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs", "unsupported_parameter"),
        ({"documents": [{}]}, "documents", "unsupported_parameter"),
        ({"continue_final_message": True}, "continue_final_message", "unsupported_parameter"),
        ({"metadata": {"team": "blue"}}, "metadata", "unsupported_parameter"),
        ({"user": 7}, "user", "invalid_value"),
        ({"safety_identifier": "x" * 257}, "safety_identifier", "invalid_value"),
    ],
)
def test_what_only_the_site_can_judge_is_refused_by_field(
    client: Client, key: str, changes: dict[str, Any], param: str, code: str
) -> None:
    reply = post(client, key, chat(**changes))
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, param, code)


def test_values_that_ask_for_nothing_are_taken(client: Client, key: str) -> None:
    asks_nothing: dict[str, Any] = {
        "chat_template_kwargs": {},
        "documents": [],
        "metadata": {},
        "user": None,
        "chat_template": None,
    }
    reply = post(client, key, chat(**asks_nothing))
    assert reply.json()["error"]["code"] == "model_not_found"  # all of it was taken, and there are no models here
    assert "x-fastchat-ignored-fields" not in reply


def test_ignored_fields_are_named_also_when_the_request_fails(client: Client, key: str) -> None:
    reply = post(client, key, chat(frobnicate=1, priority=9))
    assert reply["x-fastchat-ignored-fields"] == "frobnicate, priority"


def test_the_end_user_is_in_the_log_by_a_number_that_a_command_tells(
    client: Client, key: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("INFO"):
        reply = post(client, key, chat(user="old\nname", safety_identifier="u-42"))
    call_command("trace", end_user="u-42")
    told = capsys.readouterr().out.strip()
    assert f"request {reply['x-request-id']} is for {told}" in caplog.text
    assert "u-42" not in caplog.text


def test_every_reply_says_how_long_it_took(client: Client, key: str) -> None:
    replies = [post(client, key, chat()), post(client, "wrong", {}), post(client, key, {}, path="/v1/whatever")]
    assert all(int(reply["openai-processing-ms"]) >= 0 for reply in replies)


@pytest.mark.parametrize("family", UNSUPPORTED)
def test_what_openai_has_and_this_site_has_not_is_refused_by_name(client: Client, key: str, family: str) -> None:
    reply = post(client, key, {}, path=f"/v1/{family}/something")
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (404, "unsupported_endpoint")
    assert f"/v1/{family}/something is not supported here: {UNSUPPORTED[family]}" in error["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (409, "conflict_error"),
        (429, "rate_limit_error"),
        (503, "server_error"),
    ],
)
def test_the_type_of_an_error_follows_its_status(status: int, kind: str) -> None:
    class Known(NotFound):
        http_status = status

    error = api_error(Known(retry_after_s=7))
    assert (error.status, error.body["error"]["type"]) == (status, kind)
    assert error.headers == ({"Retry-After": "7"} if status in {429, 503} else {})


def test_an_unforeseen_error_tells_the_request_id_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    request_id_var.set("trace-12345678")
    error = api_error(RuntimeError("secret detail"))
    assert (error.status, error.body["error"]["code"]) == (500, "internal_error")
    assert "trace-12345678" in error.body["error"]["message"]
    assert "secret detail" not in json.dumps(error.body)
    assert "secret detail" in caplog.text


def test_a_database_that_breaks_off_is_told_to_be_tried_again() -> None:
    error = api_error(OperationalError("server closed the connection; secret detail"))
    assert (error.status, error.body["error"]["code"]) == (503, "database_away")
    assert error.headers["Retry-After"]
    assert "secret detail" not in json.dumps(error.body)


def test_json_that_is_nested_too_deep_is_a_bad_request(client: Client, key: str) -> None:
    reply = post(client, key, '{"model":' + "[" * 100_000)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_json")


def test_a_body_that_is_not_json_says_what_to_send(client: Client, key: str) -> None:
    reply = client.post("/v1/chat/completions", {"model": "tiny"}, headers={"Authorization": f"Bearer {key}"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unsupported_media_type")


@pytest.mark.parametrize("accept", ["text/event-stream", "application/binary", "image/png", "*/*", ""])
def test_what_a_client_says_it_accepts_changes_nothing(client: Client, key: str, accept: str) -> None:
    reply = client.get("/v1/models", headers={"Authorization": f"Bearer {key}", "Accept": accept})
    assert (reply.status_code, reply["Content-Type"]) == (200, "application/json")
