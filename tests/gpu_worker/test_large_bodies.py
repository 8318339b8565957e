"""Large and malformed bodies are checked off the event loop, and no half character gets through."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from gpu_worker.errors import WorkerError
from gpu_worker.protocol import MAX_BODY_BYTES, Json
from gpu_worker.server.app import LARGE_BODY_BYTES, read_call
from gpu_worker.server.fields import checked_text
from gpu_worker.server.schema import MAX_MESSAGES, parse_chat


def request_of(body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


@pytest.mark.parametrize(("n_bytes", "is_large"), [(100, False), (2 * LARGE_BODY_BYTES, True)])
async def test_a_large_body_is_checked_in_another_thread(n_bytes: int, is_large: bool) -> None:
    def parse(body: Json) -> int:
        assert len(body["text"]) == n_bytes
        return threading.get_ident()

    thread = await read_call(request_of(json.dumps({"text": "x" * n_bytes}).encode()), parse)
    assert (thread != threading.get_ident()) == is_large


@pytest.mark.parametrize("content", [b"[" * (2 * LARGE_BODY_BYTES), b'"' + b"x" * (2 * LARGE_BODY_BYTES) + b'"'])
async def test_a_large_body_that_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(WorkerError) as caught:
        await read_call(request_of(content), parse_chat)
    assert caught.value.http_status == 400


async def test_a_body_of_ten_megabytes_is_refused_as_too_large() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 10_000_000}]}).encode()
    with pytest.raises(WorkerError, match=str(MAX_BODY_BYTES)) as caught:
        await read_call(request_of(body), parse_chat)
    assert caught.value.http_status == 413


def test_ten_thousand_messages_are_the_most() -> None:
    messages = [{"role": "user", "content": "x"}] * MAX_MESSAGES
    assert len(parse_chat({"model": "m", "messages": messages}).messages) == 10_000
    with pytest.raises(WorkerError, match="at most 10000 messages, found 10001"):
        parse_chat({"model": "m", "messages": [*messages, messages[0]]})


@given(st.text(st.characters(categories=["L", "Cs", "Nd", "So"])))
def test_a_text_with_half_a_surrogate_pair_is_refused_and_no_other(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        with pytest.raises(WorkerError, match=r"messages\[3\].content: .*surrogate"):
            checked_text(text, "messages[3].content")
    else:
        assert checked_text(text, "messages[3].content") == text
