"""Images in chats and responses: seen by a model that can, refused in words by one that cannot."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from apps.accounts.services import NewKey
from apps.workers.metering.unseen import IMAGE_TOKENS, token_guess
from tests.gpu_worker.live_worker import LiveWorker, live_worker
from tests.gpu_worker.tiny_models import make_tiny_model
from tests.gpu_worker.tiny_vision import asked, data_url, make_tiny_vision, picture
from tests.workers.leases import put_lease

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    at = tmp_path_factory.mktemp("models")
    with live_worker({"eyes": make_tiny_vision(at / "eyes", "llava"), "blind": make_tiny_model(at / "blind")}) as live:
        yield live


@pytest.fixture(autouse=True)
def pool(running: LiveWorker, client: Client) -> None:
    """The site knows of both models what the worker's lease says."""
    lease = running.worker.lease_request(running.url, 1.0)
    assert put_lease(client, uuid.UUID(int=1), lease.to_json()).status_code == 200


def post(client: Client, key: NewKey, path: str, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {key.secret}"}
    return client.post(f"/v1/{path}", body, content_type="application/json", headers=headers)


def shown(*urls: str) -> list[dict[str, Any]]:
    """The input of a response."""
    images = [{"type": "input_image", "image_url": url} for url in urls]
    return [{"role": "user", "content": [*images, {"type": "input_text", "text": "look"}]}]


def test_a_chat_with_an_image_is_answered_and_its_tokens_counted(client: Client, key: NewKey) -> None:
    body = {"model": "eyes", "max_tokens": 4, "min_tokens": 4}
    with_image = post(client, key, "chat/completions", messages=asked("look", picture()), **body).json()
    without = post(client, key, "chat/completions", messages=asked("look"), **body).json()
    assert with_image["usage"]["completion_tokens"] == 4
    assert with_image["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"] == 16  # 4 x 4 patches of 8 pixels
    count = post(client, key, "tokenize", model="eyes", messages=asked("look", picture())).json()["count"]
    assert count == with_image["usage"]["prompt_tokens"]


def test_a_response_sees_images_and_goes_on_with_them(client: Client, key: NewKey) -> None:
    body = {"model": "eyes", "max_output_tokens": 16}
    first = post(client, key, "responses", input=shown(data_url(picture())), **body)
    assert first.status_code == 200, first.content
    alone = post(client, key, "responses", input=shown(), **body).json()
    assert first.json()["usage"]["input_tokens"] - alone["usage"]["input_tokens"] == 16
    again = post(client, key, "responses", input="and now?", previous_response_id=first.json()["id"], **body)
    assert again.json()["usage"]["input_tokens"] > first.json()["usage"]["input_tokens"]
    elsewhere = post(client, key, "responses", input="and now?", previous_response_id=first.json()["id"], model="blind")
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (400, "unsupported_model")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["chat/completions", "responses", "tokenize"])
def test_a_model_without_eyes_is_refused_before_any_worker_is_asked(
    client: Client, key: NewKey, path: str, stream: bool
) -> None:
    body = {"input": shown(data_url(picture()))} if path == "responses" else {"messages": asked("look", picture())}
    reply = post(client, key, path, model="blind", stream=stream, **body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_model", "model")
    assert "'blind' cannot see images. Choose a model that can" in error["message"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://169.254.169.254/latest/meta-data", "no URL is fetched"),
        ("file:///etc/passwd", "no URL is fetched"),
        (data_url(b"<svg onload='alert(1)'/>"), "no valid PNG"),
        ("data:image/png;base64,%%%", "not base64"),
    ],
)
def test_what_is_no_image_is_refused_by_its_place(client: Client, key: NewKey, url: str, words: str) -> None:
    chat = post(client, key, "chat/completions", model="eyes", messages=asked("look", url))
    response = post(client, key, "responses", model="eyes", input=shown(url))
    for reply, param in ((chat, "messages[0].content[0].image_url.url"), (response, "input[0].content[0].image_url")):
        assert reply.status_code == 400
        assert words in reply.json()["error"]["message"]
        assert reply.json()["error"]["param"].startswith(param)


def test_programs_learn_which_models_see(client: Client, key: NewKey) -> None:
    reply = client.get("/v1/models", headers={"Authorization": f"Bearer {key.secret}"}).json()
    told = {model["id"]: model["modalities"]["input"] for model in reply["data"]}
    assert told == {"eyes": ["text", "image"], "blind": ["text"]}


def test_the_bytes_of_an_image_are_not_taken_for_words() -> None:
    large = "data:image/png;base64," + "A" * 4_000_000
    guessed = token_guess({"messages": asked("look", large, large)})
    assert 2 * IMAGE_TOKENS < guessed < 2 * IMAGE_TOKENS + 200
