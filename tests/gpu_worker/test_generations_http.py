"""Generations that outlive their reader: attach again, no gap and no duplicate, cancel, forget."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.server.generations import Generation, Opening, chunk_json
from gpu_worker.server.store import GenerationStore
from tests.gpu_worker.live_worker import LiveWorker, eventually, live_worker
from tests.gpu_worker.test_chat_http import HELLO, events_of, streamed_text


@pytest.fixture(scope="module")
def live(tiny: Path, endless: Path) -> Iterator[LiveWorker]:
    with live_worker({"tiny": tiny, "endless": endless}) as live:
        yield live


def start(client: httpx.Client, model: str = "tiny", **body: Any) -> tuple[str, httpx.Response]:
    generation_id = str(uuid.uuid4())
    body = {"model": model, "messages": HELLO, "stream": True, "generation_id": generation_id, **body}
    return generation_id, client.post("/v1/chat/completions", json=body)


def start_and_leave(client: httpx.Client, **body: Any) -> tuple[str, bytes]:
    """Start an endless answer and leave after its first text; what came so far is returned."""
    generation_id = str(uuid.uuid4())
    body = {"model": "endless", "messages": HELLO, "stream": True, "generation_id": generation_id, **body}
    head = b""
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        for piece in reply.iter_bytes():
            head += piece
            if head.count(b"\n\n") > 1:  # the first event only tells the role
                break
    return generation_id, head


def events(client: httpx.Client, generation_id: str, after: int = 0) -> httpx.Response:
    return client.get(f"/v1/generations/{generation_id}/events", params={"after": after})


def test_events_can_be_read_again_from_any_number(client: httpx.Client) -> None:
    generation_id, reply = start(client, max_tokens=12)
    all_events = events_of(reply.text)
    for after in range(len(all_events) + 1):
        again = events(client, generation_id, after).text
        assert (events_of(again) if again else []) == all_events[after:]


def test_a_generation_goes_on_when_its_reader_leaves_and_is_whole_for_the_next(
    live: LiveWorker, client: httpx.Client
) -> None:
    generation_id, head = start_and_leave(client, max_tokens=1500, temperature=0)
    seen = events_of(head[: head.rindex(b"\n\n")].decode())
    # Attached while it still runs: first what was missed, then live.
    rest = events_of(events(client, generation_id, after=seen[-1][0]).text)
    together = [*seen, *rest]
    assert [number for number, _ in together] == list(range(1, len(together) + 1))
    assert together[-1][1] == "[DONE]"
    assert together[-2][1]["usage"]["completion_tokens"] == 1500
    whole = client.post(
        "/v1/chat/completions", json={"model": "endless", "messages": HELLO, "max_tokens": 1500, "temperature": 0}
    )
    assert streamed_text(together) == whole.json()["choices"][0]["message"]["content"]


def test_two_readers_read_the_same_events(client: httpx.Client) -> None:
    generation_id, _ = start_and_leave(client, max_tokens=300)
    first, second = events(client, generation_id), events(client, generation_id)
    assert events_of(first.text) == events_of(second.text)


def test_a_cancelled_generation_says_so_and_stops_computing(live: LiveWorker, client: httpx.Client) -> None:
    generation_id, _ = start_and_leave(client)
    assert client.delete(f"/v1/generations/{generation_id}").status_code == 204
    final = events_of(events(client, generation_id).text)
    assert final[-3][1]["choices"][0]["finish_reason"] == "cancelled"
    assert final[-1][1] == "[DONE]"
    n_tokens = final[-2][1]["usage"]["completion_tokens"]
    assert 0 < n_tokens < 25_000
    # Every visible token of this model is one content event, so nothing was computed behind the last one.
    assert n_tokens == len(final) - 4
    assert client.delete(f"/v1/generations/{generation_id}").status_code == 204, "cancelling twice does no harm"
    assert live.worker.pool.n_requests == 0


def test_a_generation_without_stream_answers_in_one_piece_and_keeps_its_events(client: httpx.Client) -> None:
    generation_id, reply = start(client, max_tokens=6, stream=False)
    kept = events_of(events(client, generation_id).text)
    assert reply.json()["choices"][0]["message"]["content"] == streamed_text(kept)
    assert kept[-2][1]["usage"] == reply.json()["usage"]


def test_the_same_id_twice_is_refused(client: httpx.Client) -> None:
    generation_id, _ = start(client, max_tokens=3)
    body = {"model": "tiny", "messages": HELLO, "generation_id": generation_id.upper()}
    again = client.post("/v1/chat/completions", json=body)
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "generation_exists"


def test_an_unknown_generation_is_not_found(client: httpx.Client) -> None:
    for reply in (events(client, str(uuid.uuid4())), client.delete(f"/v1/generations/{uuid.uuid4()}")):
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "generation_not_found"


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 20])
def test_a_wrong_number_is_refused(client: httpx.Client, after: str) -> None:
    generation_id, _ = start(client, max_tokens=3)
    reply = client.get(f"/v1/generations/{generation_id}/events", params={"after": after})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "after"


def test_a_request_that_is_refused_leaves_its_id_free(client: httpx.Client) -> None:
    generation_id = str(uuid.uuid4())
    body = {"model": "tiny", "messages": HELLO, "generation_id": generation_id, "max_tokens": 2}
    assert client.post("/v1/chat/completions", json={**body, "logit_bias": {"9999": 1}}).status_code == 400
    assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_a_worker_that_stops_ends_running_generations_with_an_error(endless: Path) -> None:
    with live_worker({"endless": endless}) as live, live.client() as client:
        generation_id, _ = start_and_leave(client)
        generation = live.worker.store.get(generation_id)
        live.worker.pool.close(10)
        eventually(lambda: generation.is_ended)
        last = events_of(events(client, generation_id).text)[-1][1]
        assert last["error"]["code"] == "shutting_down"


def ended_generation(store: GenerationStore, generation_id: str) -> None:
    generation = Generation(Opening(request_id="r", model="m", n_prompt=1, generation_id=generation_id))
    store.add(generation_id, generation)
    store.end(generation_id)


def is_known(store: GenerationStore, generation_id: str) -> bool:
    try:
        store.get(generation_id)
    except Exception:
        return False
    return True


async def test_of_too_many_ended_generations_the_oldest_go_and_running_ones_stay() -> None:
    store = GenerationStore(max_kept=2)
    store.add("running", Generation(Opening(request_id="r", model="m", n_prompt=1)))
    for name in ("a", "b", "c"):
        ended_generation(store, name)
    assert [is_known(store, name) for name in ("running", "a", "b", "c")] == [True, False, True, True]


async def test_kept_events_are_bounded_in_bytes() -> None:
    size = Generation(Opening(request_id="r", model="m", n_prompt=1, generation_id="a")).n_bytes
    store = GenerationStore(max_kept_bytes=2 * size)
    for name in ("a", "b", "c"):
        ended_generation(store, name)
    assert [is_known(store, name) for name in ("a", "b", "c")] == [False, True, True]


async def test_an_ended_generation_is_forgotten_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    store = GenerationStore()
    ended_generation(store, "a")
    assert is_known(store, "a")
    # The store's name for the module, not the function in it: event loops of other threads would sleep for ever.
    monkeypatch.setattr("gpu_worker.server.store.time", SimpleNamespace(monotonic=lambda: float("inf")))
    assert not is_known(store, "a")


async def test_a_silent_generation_sends_heartbeats_that_are_no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_worker.server.generations.HEARTBEAT_S", 0.01)
    events = Generation(Opening(request_id="r", model="m", n_prompt=1)).follow(1)
    assert [await anext(events), await anext(events)] == [b": still here\n\n"] * 2


TEXTS = st.text(max_size=8)
LOGPROBS: st.SearchStrategy[Any] = st.none() | st.just({"content": []})
REASONS = st.none() | st.sampled_from(["stop", "length"])


@given(
    st.fixed_dictionaries(
        {
            "index": st.integers(0, 127),
            "delta": st.fixed_dictionaries({}, optional={"content": st.none() | TEXTS, "tool_calls": st.just([1])}),
            "logprobs": LOGPROBS,
            "finish_reason": REASONS,
        }
    )
    | st.fixed_dictionaries(
        {"index": st.integers(0, 127), "text": TEXTS, "logprobs": LOGPROBS, "finish_reason": REASONS}
    )
)
def test_a_chunk_is_written_the_short_way_as_the_long_way(chunk: dict[str, Any]) -> None:
    written = chunk_json(chunk)
    assert json.loads(written) == chunk
    assert "\n" not in written


def test_events_are_one_json_object_per_line(client: httpx.Client) -> None:
    _, reply = start(client, max_tokens=30)
    for block in reply.text.strip().split("\n\n"):
        number, data = block.split("\n")
        assert number.startswith("id: ")
        assert data == "data: [DONE]" or json.loads(data.removeprefix("data: "))
