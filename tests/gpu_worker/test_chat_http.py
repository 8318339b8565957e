"""Chat completions over HTTP: what OpenAI's clients rely on, and every refusal."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gpu_worker.protocol import MAX_BODY_BYTES
from gpu_worker.server.models import ServingOptions
from tests.gpu_worker.live_worker import TOKEN, LiveWorker, eventually, live_worker, usage_of, waiting_caller

HELLO = [{"role": "user", "content": "Hello, who are you?"}]


@pytest.fixture(scope="module")
def live(tiny: Path, endless: Path, templateless: Path) -> Iterator[LiveWorker]:
    with live_worker({"tiny": tiny, "endless": endless, "templateless": templateless}) as live:
        yield live


def chat(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO, "max_tokens": 8, **body})


def events_of(text: str) -> list[tuple[int, Any]]:
    """Number and data of each event."""
    events = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        data = lines["data"]
        events.append((int(lines["id"]), data if data == "[DONE]" else json.loads(data)))
    return events


def streamed_text(events: list[tuple[int, Any]]) -> str:
    chunks = [data["choices"][0]["delta"] for _, data in events if data != "[DONE]" and data.get("choices")]
    return "".join(delta.get("content", "") for delta in chunks)


def test_an_answer_in_one_piece_has_text_reason_and_exact_usage(client: httpx.Client) -> None:
    reply = chat(client, temperature=0)
    assert reply.status_code == 200
    body = reply.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == "tiny"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["message"]["content"]
    assert body["choices"][0]["finish_reason"] == "length"
    n_prompt = client.post("/v1/tokenize", json={"model": "tiny", "messages": HELLO}).json()["count"]
    assert body["usage"] == usage_of(n_prompt, 8)


def test_a_stream_is_the_same_answer_in_the_promised_order(client: httpx.Client) -> None:
    whole = chat(client, temperature=0, max_tokens=20).json()
    reply = chat(client, temperature=0, max_tokens=20, stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = events_of(reply.text)
    assert [number for number, _ in events] == list(range(1, len(events) + 1))
    assert events[0][1]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert streamed_text(events) == whole["choices"][0]["message"]["content"]
    assert events[-3][1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert events[-2][1]["choices"] == []
    assert events[-2][1]["usage"] == whole["usage"]
    assert events[-1][1] == "[DONE]"
    assert len({data["id"] for _, data in events[:-1]}) == 1


def test_without_include_usage_a_plain_stream_has_no_usage_event(client: httpx.Client) -> None:
    events = events_of(chat(client, stream=True).text)
    assert events[-1][1] == "[DONE]"
    assert all("usage" not in data for _, data in events[:-1])


def test_a_stop_string_ends_stream_and_whole_alike(client: httpx.Client) -> None:
    text = chat(client, temperature=0, max_tokens=40).json()["choices"][0]["message"]["content"]
    stop = text[15:19]
    whole = chat(client, temperature=0, max_tokens=40, stop=stop).json()
    events = events_of(chat(client, temperature=0, max_tokens=40, stop=[stop], stream=True).text)
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["choices"][0]["message"]["content"] == streamed_text(events) == text[: text.index(stop)]


def test_openais_own_client_chats_streams_and_lists(live: LiveWorker) -> None:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=TOKEN, max_retries=0) as sdk:
        messages: Any = HELLO
        whole = sdk.chat.completions.create(model="tiny", messages=messages, max_tokens=9, seed=4)
        stream = sdk.chat.completions.create(
            model="tiny", messages=messages, max_tokens=9, seed=4, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content
        assert chunks[-1].usage == whole.usage
        assert [model.id for model in sdk.models.list()] == ["tiny", "endless", "templateless"]
        with pytest.raises(openai.NotFoundError):
            sdk.chat.completions.create(model="nobody", messages=messages)
        with pytest.raises(openai.BadRequestError, match="temperature"):
            sdk.chat.completions.create(model="tiny", messages=messages, temperature=3)


def test_content_may_be_a_list_of_text_parts_and_developer_means_system(client: httpx.Client) -> None:
    parts = [{"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief"}]}]
    plain = [{"role": "system", "content": "Be\nbrief"}]
    tokens = [client.post("/v1/tokenize", json={"model": "tiny", "messages": m}).json() for m in (parts, plain)]
    assert tokens[0]["tokens"] == tokens[1]["tokens"]


def test_tokenize_counts_plain_text_too(client: httpx.Client) -> None:
    body = client.post("/v1/tokenize", json={"model": "tiny", "prompt": "def f(x):"}).json()
    assert body["count"] == len(body["tokens"]) > 0
    assert body["max_model_len"] == 512


def test_without_max_tokens_an_answer_fills_the_context(client: httpx.Client) -> None:
    body = client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO}).json()
    assert body["usage"]["total_tokens"] == 512
    assert body["choices"][0]["finish_reason"] == "length"


def test_more_max_tokens_than_fit_are_cut_to_what_fits(client: httpx.Client) -> None:
    assert chat(client, max_tokens=100_000).json()["usage"]["total_tokens"] == 512


def test_max_completion_tokens_is_the_newer_name(client: httpx.Client) -> None:
    assert chat(client, max_completion_tokens=3).json()["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("n_characters", [3_000, 2_000_000])
def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(client: httpx.Client, n_characters: int) -> None:
    reply = chat(client, messages=[{"role": "user", "content": "x" * n_characters}])
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert "512" in error["message"]
    assert any(int(word) > 512 for word in error["message"].split() if word.isdecimal())


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"messages": []}, "invalid_request", "messages"),
    ({"messages": "hello"}, "invalid_request", "messages"),
    ({"messages": ["hello"]}, "invalid_request", "messages[0]"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_request", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "invalid_request", "messages[0].content"),
    ({"messages": [{"role": "function", "content": "x"}]}, "unsupported_parameter", "messages[0].role"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "unsupported_parameter",
        "messages[0].content[0].type",
    ),
    ({"messages": [{"role": "user", "content": "half \ud83d"}]}, "invalid_request", "messages[0].content"),
    ({"model": 5}, "invalid_request", "model"),
    ({"temperature": 2.1}, "invalid_request", "temperature"),
    ({"temperature": "hot"}, "invalid_request", "temperature"),
    ({"temperature": True}, "invalid_request", "temperature"),
    ({"top_p": 0}, "invalid_request", "top_p"),
    ({"max_tokens": 0}, "invalid_request", "max_tokens"),
    ({"max_tokens": 1.5}, "invalid_request", "max_tokens"),
    ({"stop": ["a"] * 5}, "invalid_request", "stop"),
    ({"stop": ""}, "invalid_request", "stop"),
    ({"stop": [1]}, "invalid_request", "stop"),
    ({"logit_bias": {"x": 1}}, "invalid_request", "logit_bias"),
    ({"logit_bias": {"1": 101}}, "invalid_request", "logit_bias"),
    ({"logit_bias": {"99999": 1}}, "invalid_request", "logit_bias"),
    ({"logit_bias": {"1": 10**400}}, "invalid_request", "logit_bias.1"),
    ({"seed": 2**63}, "invalid_request", "seed"),
    ({"stream": "yes"}, "invalid_request", "stream"),
    ({"stream_options": {"include_usage": True}}, "invalid_request", "stream_options"),
    ({"generation_id": "seven"}, "invalid_request", "generation_id"),
    ({"n": 0}, "invalid_request", "n"),
    ({"n": 129}, "invalid_request", "n"),
    ({"n": 10_000}, "invalid_request", "n"),
    ({"n": 10**400}, "invalid_request", "n"),
    ({"n": True}, "invalid_request", "n"),
    ({"best_of": 2}, "unsupported_parameter", "best_of"),
    ({"n": 3, "best_of": 2}, "unsupported_parameter", "best_of"),
    ({"logprobs": 5}, "invalid_request", "logprobs"),
    ({"top_logprobs": 2}, "invalid_request", "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "invalid_request", "top_logprobs"),
    ({"logprobs": True, "top_logprobs": -1}, "invalid_request", "top_logprobs"),
    ({"min_tokens": 5}, "invalid_request", "min_tokens"),
    ({"min_tokens": -1}, "invalid_request", "min_tokens"),
    ({"priority": -101}, "invalid_request", "priority"),
    ({"priority": "first"}, "invalid_request", "priority"),
    ({"stop_token_ids": [99999]}, "invalid_request", "stop_token_ids"),
    ({"stop_token_ids": [-1]}, "invalid_request", "stop_token_ids"),
    ({"stop_token_ids": ["</s>"]}, "invalid_request", "stop_token_ids"),
    ({"stop_token_ids": [1] * 129}, "invalid_request", "stop_token_ids"),
    ({"prompt_logprobs": 1}, "unsupported_parameter", "prompt_logprobs"),
    ({"use_beam_search": True}, "unsupported_parameter", "use_beam_search"),
    ({"tools": [{"type": "retrieval"}]}, "unsupported_parameter", "tools[0].type"),
    ({"response_format": {"type": "grammar"}}, "unsupported_parameter", "response_format.type"),
    ({"audio": {"voice": "x"}}, "unsupported_parameter", "audio"),
    ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities"),
]


@pytest.mark.parametrize(("body", "code", "param"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_wrong_request_is_refused_by_name(
    client: httpx.Client, body: dict[str, Any], code: str, param: str | None
) -> None:
    whole = {"model": "tiny", "messages": HELLO, "max_tokens": 4, **body}
    # ensure_ascii: half of a surrogate pair travels as an escape, as a careless client would send it.
    reply = client.post("/v1/chat/completions", content=json.dumps(whole))
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "1" + "0" * 9000])
def test_numbers_that_are_not_finite_are_refused(client: httpx.Client, text: str) -> None:
    body = json.dumps({"model": "tiny", "messages": HELLO, "temperature": 0}).replace(": 0}", f": {text}}}")
    reply = client.post("/v1/chat/completions", content=body)
    assert reply.status_code == 400


def test_neutral_values_of_unsupported_parameters_and_unknown_fields_are_fine(client: httpx.Client) -> None:
    reply = chat(
        client,
        n=1,
        best_of=1,
        logprobs=False,
        top_logprobs=0,
        use_beam_search=False,
        skip_special_tokens=True,
        tools=[],
        response_format={"type": "text"},
        user="u",
        colour="blue",
        tool_choice=None,
    )
    assert reply.status_code == 200


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(client: httpx.Client, body: str) -> None:
    reply = client.post("/v1/chat/completions", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_request"


def test_a_model_that_is_not_served_is_named(client: httpx.Client) -> None:
    reply = chat(client, model="nobody")
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "model_not_found"
    assert "nobody" in reply.json()["error"]["message"]


def test_a_model_without_a_chat_template_is_refused_by_name(client: httpx.Client) -> None:
    reply = chat(client, model="templateless")
    assert reply.status_code == 400
    assert "templateless has no chat template" in reply.json()["error"]["message"]
    assert client.post("/v1/tokenize", json={"model": "templateless", "prompt": "x"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/tokenize", "/metrics", "/v1/nothing"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \xe9"}])
def test_nobody_passes_without_the_access_token(live: LiveWorker, path: str, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    reply = httpx.post(f"{live.url}{path}", headers=raw, json={}, trust_env=False)  # type: ignore[arg-type]
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "unauthorised"


def test_health_and_readiness_are_open(live: LiveWorker) -> None:
    assert httpx.get(f"{live.url}/health", trust_env=False).json() == {"status": "ok"}
    ready = httpx.get(f"{live.url}/ready", trust_env=False)
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/chat/completions", 405), ("GET", "/v1/x", 404)])
def test_a_wrong_address_or_method_is_an_envelope_too(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    reply = client.request(method, path)
    assert reply.status_code == status
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_a_body_that_says_it_is_too_large_is_refused_unread(live: LiveWorker) -> None:
    address = httpx.URL(live.url)
    with socket.create_connection((address.host, address.port or 0), timeout=10) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: worker\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n{{".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_failure(
    live: LiveWorker, caplog: pytest.LogCaptureFixture
) -> None:
    address = httpx.URL(live.url)
    n_before = len(caplog.records)
    with socket.create_connection((address.host, address.port or 0), timeout=10) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: worker\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    # A later request has been answered, so the earlier one is over.
    assert httpx.get(f"{live.url}/health", trust_env=False).is_success
    assert not [record for record in caplog.records[n_before:] if record.levelname == "ERROR"]


def test_a_chunked_body_is_cut_off_at_the_limit(client: httpx.Client) -> None:
    def endless_body() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65536 + 2):
            yield b" " * 65536

    reply = client.post("/v1/chat/completions", content=endless_body())
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "request_too_large"


def test_a_reader_who_leaves_a_plain_stream_ends_its_generation(live: LiveWorker, client: httpx.Client) -> None:
    before = live.metric("requests_total", model="endless", outcome="aborted", reason="disconnected")
    body = {"model": "endless", "messages": HELLO, "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        next(reply.iter_bytes())
    eventually(lambda: live.worker.pool.n_requests == 0)
    assert live.metric("requests_total", model="endless", outcome="aborted", reason="disconnected") == before + 1
    assert live.metric("generation_tokens_total", model="endless") < 25_000


def test_a_caller_who_hangs_up_on_a_plain_answer_ends_its_generation(live: LiveWorker) -> None:
    before = live.metric("requests_total", model="endless", outcome="aborted", reason="disconnected")
    with waiting_caller(live, "/v1/chat/completions", {"model": "endless", "messages": HELLO}):
        eventually(lambda: live.worker.pool.n_requests == 1)
    eventually(lambda: live.worker.pool.n_requests == 0)
    assert live.metric("requests_total", model="endless", outcome="aborted", reason="disconnected") == before + 1


def test_metrics_tell_tokens_requests_and_times(live: LiveWorker, client: httpx.Client) -> None:
    def total() -> float:
        return live.metric("generation_tokens_total", model="tiny")

    before = total()
    chat(client, max_tokens=7)
    assert total() - before == 7
    text = client.get("/metrics").text
    for name in ("time_to_first_token_seconds_count", "inter_token_seconds_bucket", "step_seconds_sum", "batch_size"):
        assert f"fastchat_worker_{name}" in text


def test_a_full_queue_answers_503_with_retry_after(endless: Path) -> None:
    options = ServingOptions(device="cpu", dtype="float32", max_batch=1, max_queue=1)
    with live_worker({"endless": endless}, options) as live, live.client() as client:
        body = {"model": "endless", "messages": HELLO, "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=body) as running:
            running_bytes = running.iter_bytes()  # a dropped iterator would close the connection
            next(running_bytes)
            with client.stream("POST", "/v1/chat/completions", json=body) as waiting:
                waiting_bytes = waiting.iter_bytes()
                next(waiting_bytes)
                refused = client.post("/v1/chat/completions", json=body)
                assert refused.status_code == 503
                assert refused.json()["error"]["code"] == "overloaded"
                assert int(refused.headers["retry-after"]) >= 1
        eventually(lambda: live.worker.pool.n_requests == 0)


def test_a_short_context_can_be_asked_for(tiny: Path) -> None:
    options = ServingOptions(device="cpu", dtype="float32", max_context=40)
    with live_worker({"tiny": tiny}, options) as live, live.client() as client:
        body = client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO}).json()
        assert body["usage"]["total_tokens"] == 40
