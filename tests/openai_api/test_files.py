"""Files and batches as programs meet them: the official SDK against a live site with its jobs."""

import json

import httpx
import openai
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.fixtures import Settings

from apps.accounts.services import api_key_create
from tests.live import LiveSite, wait_until
from tests.openai_api.conftest import FILE_MAX_BYTES

pytestmark = pytest.mark.processes


def test_a_batch_goes_from_upload_to_answers(sdk: openai.OpenAI, api_site: LiveSite) -> None:
    body = {"model": "vectors", "input": "an owl"}
    line = {"custom_id": "only", "method": "POST", "url": "/v1/embeddings", "body": body}
    file = sdk.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
    assert (file.filename, file.purpose, file.bytes) == ("in.jsonl", "batch", len(json.dumps(line)))

    batch = sdk.batches.create(
        input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", metadata={"team": "blue"}
    )
    assert (batch.status, batch.metadata) == ("validating", {"team": "blue"})
    wait_until(
        lambda: sdk.batches.retrieve(batch.id).status == "completed", what="the batch to be completed", limit_s=90
    )
    assert "waits for the broker" not in (api_site.logs / "web.log").read_text()
    done = sdk.batches.retrieve(batch.id)
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (1, 1, 0)
    assert done.output_file_id is not None
    answer = json.loads(sdk.files.content(done.output_file_id).text)
    whole = sdk.embeddings.create(model="vectors", input="an owl", encoding_format="float")
    assert answer["response"]["body"]["data"][0]["embedding"] == pytest.approx(whole.data[0].embedding, abs=1e-5)

    with pytest.raises(openai.ConflictError) as ended:
        sdk.batches.cancel(batch.id)
    assert ended.value.code == "batch_ended"
    assert [one.id for one in sdk.batches.list(limit=1).data] == [batch.id]


def test_files_are_listed_page_by_page_read_and_deleted(sdk: openai.OpenAI) -> None:
    names = [f"{i}.jsonl" for i in range(3)]
    files = [sdk.files.create(file=(name, f"{name}\n".encode() * 9), purpose="batch") for name in names]
    listed = [file.filename for file in sdk.files.list(limit=2, purpose="batch")]  # fetches all pages
    assert listed[:3] == names[::-1]
    assert sdk.files.content(files[1].id).text == "1.jsonl\n" * 9
    assert sdk.files.delete(files[1].id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(files[1].id)


def test_a_file_may_be_larger_than_a_prompt_and_has_a_limit_of_its_own(sdk: openai.OpenAI) -> None:
    content = b"x" * (9 * 1024 * 1024)
    file = sdk.files.create(file=("large.jsonl", content), purpose="batch")
    assert sdk.files.content(file.id).read() == content
    with pytest.raises(openai.APIStatusError) as refused:
        sdk.files.create(file=("huge.jsonl", b"x" * (FILE_MAX_BYTES + 100_000)), purpose="batch")
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")


def test_without_a_key_nobody_sends_more_than_a_prompt(api_site: LiveSite) -> None:
    def send(n_bytes: int) -> httpx.Response:
        sent = {"file": ("in.jsonl", b"x" * n_bytes)}
        return httpx.post(f"{api_site.url}/v1/files", files=sent, data={"purpose": "batch"}, trust_env=False)

    assert send(10).status_code == 401
    assert send(9 * 1024 * 1024).status_code == 413


@pytest.mark.django_db(transaction=True)
def test_a_form_is_refused_by_field(client: Client) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}

    def send(form: dict[str, str], content: bytes | None = b"{}") -> tuple[int, object]:
        sent = {} if content is None else {"file": SimpleUploadedFile("in.jsonl", content)}
        reply = client.post("/v1/files", {**form, **sent}, headers=headers)
        return reply.status_code, reply.json().get("error", {}).get("param")

    assert send({"purpose": "batch"}) == (200, None)
    assert send({"purpose": "fine-tune"}) == (400, "purpose")
    assert send({}) == (400, "purpose")
    assert send({"purpose": "batch"}, None) == (400, "file")
    assert send({"purpose": "batch"}, b"") == (400, "file")
    assert send({"purpose": "batch", "expires_after[seconds]": "9"}) == (400, "expires_after")


@pytest.mark.django_db(transaction=True)
def test_an_owners_files_have_a_limit_together(client: Client, settings: Settings) -> None:
    settings.API_FILES_MAX_BYTES = 15
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    replies = [
        client.post("/v1/files", {"purpose": "batch", "file": SimpleUploadedFile("a", b"x" * 10)}, headers=headers)
        for _ in range(2)
    ]
    assert [reply.status_code for reply in replies] == [200, 400]
    assert replies[1].json()["error"]["code"] == "files_too_large"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/audio"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": 7}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"output_expires_after": {"seconds": 9}}, "output_expires_after"),
    ],
)
def test_a_batch_is_refused_by_field(client: Client, changes: dict[str, object], param: str) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    body = {"input_file_id": "file-x", "endpoint": "/v1/completions", "completion_window": "24h"} | changes
    reply = client.post("/v1/batches", body, content_type="application/json", headers=headers)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", ["0", "101", "x", "-1", "²", "0000000019999999", "9" * 5000])
def test_a_pages_length_is_checked(client: Client, limit: str) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    reply = client.get("/v1/files", {"limit": limit}, headers=headers)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "limit")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("purpose", ["\0", "fine-tune", "x" * 99])
def test_of_a_purpose_that_files_never_have_there_are_none(client: Client, purpose: str) -> None:
    headers = {"Authorization": f"Bearer {api_key_create(name='test', user=None).secret}"}
    client.post("/v1/files", {"purpose": "batch", "file": SimpleUploadedFile("a", b"x")}, headers=headers)
    reply = client.get("/v1/files", {"purpose": purpose}, headers=headers)
    assert (reply.status_code, reply.json()["data"]) == (200, [])
