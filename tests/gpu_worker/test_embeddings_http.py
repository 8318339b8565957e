"""`/v1/embeddings` of a real worker with a tiny model."""

import base64
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from openai import OpenAI

from gpu_worker.protocol import LeaseRequest, ModelKind
from tests.gpu_worker.live_worker import TOKEN, LiveWorker, eventually, live_worker, waiting_caller
from tests.gpu_worker.tiny_embedders import make_tiny_embedder


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[LiveWorker]:
    folder = tmp_path_factory.mktemp("models")
    models = {
        "owl": make_tiny_embedder(folder / "owl"),
        "short-owl": make_tiny_embedder(
            folder / "short-owl",
            is_matryoshka=True,
            settings={"prompts": {"query": "query: "}, "default_prompt_name": "query"},
        ),
        "parrot": tiny,
    }
    with live_worker(models) as running:
        yield running


@pytest.fixture
def client(worker: LiveWorker) -> Iterator[httpx.Client]:
    with worker.client() as client:
        yield client


def embed(client: httpx.Client, given: object, model: str = "owl", **more: object) -> list[list[float]]:
    reply = client.post("/v1/embeddings", json={"model": model, "input": given, **more})
    assert reply.status_code == 200, reply.text
    return [item["embedding"] for item in reply.json()["data"]]


def refused(client: httpx.Client, **body: object) -> dict[str, Any]:
    reply = client.post("/v1/embeddings", json={"model": "owl", "input": "x"} | body)
    assert reply.status_code == 400, reply.text
    error: dict[str, Any] = reply.json()["error"]
    return error


def close(first: list[float], second: list[float]) -> bool:
    return all(abs(a - b) < 1e-5 for a, b in zip(first, second, strict=True))


def test_texts_and_their_tokens_give_the_same_vectors(client: httpx.Client) -> None:
    tokens = client.post("/v1/embeddings", json={"model": "owl", "input": ["import argparse", "x"]}).json()
    assert tokens["usage"]["prompt_tokens"] == tokens["usage"]["total_tokens"] > 2
    assert [item["index"] for item in tokens["data"]] == [0, 1]
    ids = [3, 4, 5]
    (single,) = embed(client, ids)
    nested = embed(client, [ids, [7]])
    assert close(single, nested[0])
    assert len(single) == 32
    assert abs(sum(number**2 for number in single) - 1) < 1e-5
    (alone,) = embed(client, "import argparse")
    assert close(alone, tokens["data"][0]["embedding"])


def test_openais_client_reads_base64(worker: LiveWorker, client: httpx.Client) -> None:
    with OpenAI(base_url=f"{worker.url}/v1", api_key=TOKEN) as openai:
        found = openai.embeddings.create(model="owl", input=["one", "two"])  # asks for base64 by itself
    assert close(found.data[1].embedding, embed(client, "two")[0])
    reply = client.post("/v1/embeddings", json={"model": "owl", "input": "two", "encoding_format": "base64"}).json()
    raw = base64.b64decode(reply["data"][0]["embedding"])
    assert close(list(struct.unpack("<32f", raw)), embed(client, "two")[0])


def test_vectors_are_shortened_where_the_model_can(client: httpx.Client) -> None:
    (whole,), (short,) = embed(client, "hello", "short-owl"), embed(client, "hello", "short-owl", dimensions=8)
    length = sum(number**2 for number in whole[:8]) ** 0.5
    assert close(short, [number / length for number in whole[:8]])
    assert refused(client, dimensions=8)["code"] == "unsupported_parameter"
    assert embed(client, "hello", dimensions=32) == embed(client, "hello")


def test_the_models_own_prefix_is_put_before_texts(client: httpx.Client) -> None:
    reply = client.post("/v1/embeddings", json={"model": "short-owl", "input": "x"}).json()
    assert reply["usage"]["prompt_tokens"] > 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": {"text": "x"}}, "input"),
        ({"input": ["x", ""]}, "input[1]"),
        ({"input": ["x", 5]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [[1], [True]]}, "input[1]"),
        ({"input": [1, 2.5]}, "input"),
        ({"input": [1, -1]}, "input"),
        ({"input": [1, "x"]}, "input"),
        ({"input": [512]}, "input"),
        ({"input": [10**30]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": [5] * 65}, "input"),
        ({"input": ["x", "word " * 1000]}, "input[1]"),
        ({"input": "x" * 3_000_000}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": 5}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
        ({"dimensions": 33}, "dimensions"),
        ({"model": 5}, "model"),
        ({"model": "parrot"}, "model"),
    ],
)
def test_what_is_refused_names_its_field(client: httpx.Client, body: dict[str, object], param: str) -> None:
    assert refused(client, **body)["param"] == param


def test_too_much_text_is_told_as_such(client: httpx.Client) -> None:
    assert refused(client, input=[5] * 65)["code"] == "context_length_exceeded"


def test_an_embedding_model_does_not_chat_and_is_not_offered_for_it(worker: LiveWorker, client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    for path, body in (("chat/completions", {"messages": messages}), ("completions", {"prompt": "x"})):
        reply = client.post(f"/v1/{path}", json={"model": "owl", **body})
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "model")
    sent = LeaseRequest.from_json(worker.worker.lease_request("http://worker", 1.0).to_json())
    kinds = {report.name: report.kind for report in sent.models}
    assert kinds == {"owl": ModelKind.EMBEDDING, "short-owl": ModelKind.EMBEDDING, "parrot": ModelKind.TEXT}


def test_half_a_character_is_refused(client: httpx.Client) -> None:
    reply = client.post("/v1/embeddings", content=b'{"model": "owl", "input": "\\ud800"}')
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input")


def test_who_leaves_is_forgotten(worker: LiveWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    engine = worker.worker.pool.get("owl").embedder._engine
    embed_at_once = engine._embed

    def embed_later(texts: Sequence[Sequence[int]]) -> torch.Tensor:
        assert gate.wait(20)
        return embed_at_once(texts)

    monkeypatch.setattr(engine, "_embed", embed_later)
    with waiting_caller(worker, "/v1/embeddings", {"model": "owl", "input": "x"}):
        eventually(lambda: engine.n_requests == 1)
    eventually(lambda: worker.metric("requests_total", model="owl", outcome="aborted", reason="disconnected") == 1)
    assert worker.worker.pool.n_requests == 0
    assert engine.n_requests == 0
    gate.set()


def test_its_requests_and_tokens_are_counted(worker: LiveWorker, client: httpx.Client) -> None:
    before = worker.metric("prompt_tokens_total", model="short-owl")
    embed(client, [[1, 2, 3], [4]], "short-owl")
    assert worker.metric("prompt_tokens_total", model="short-owl") == before + 4
