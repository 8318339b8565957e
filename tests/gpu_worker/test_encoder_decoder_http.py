"""Encoder-decoder models behind the same doors: chats, completions, streams, cancelling, and what is refused."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from gpu_worker.modeling.source import AdapterSpec
from gpu_worker.server.models import ServingOptions
from tests.gpu_worker.live_worker import LiveWorker, eventually, live_worker, usage_of
from tests.gpu_worker.test_chat_http import HELLO, events_of, streamed_text
from tests.gpu_worker.test_completions_http import joined
from tests.gpu_worker.tiny_t5 import END, make_tiny_t5

CONTEXT = 96
PROMPT = "translate this to text: parse the first line"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_t5(tmp_path_factory.mktemp("models") / "t5", context=CONTEXT)


@pytest.fixture(scope="module")
def live(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    long = make_tiny_t5(tmp_path_factory.mktemp("models") / "long", context=8000, num_heads=1)
    adapters = (AdapterSpec("t5", "org/cat", "cat"),)
    options = ServingOptions(device="cpu", dtype="float32", adapters=adapters)
    models = {"t5": folder, "long": long, "raw": folder}
    with live_worker(models, options, templates={"t5": "one_shot", "long": "one_shot"}) as live:
        yield live


def chat(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "t5", "messages": HELLO, "max_tokens": 30, **body})


def complete(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/completions", json={"model": "t5", "prompt": PROMPT, "temperature": 0, **body})


def tokens_of(client: httpx.Client, **body: Any) -> list[int]:
    ids: list[int] = client.post("/v1/tokenize", json={"model": "t5", **body}).json()["tokens"]
    return ids


def generated(folder: Path, ids: list[int], n_tokens: int) -> str:
    """The text of transformers' own greedy decoding."""
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder)
    output = model.generate(torch.tensor([ids]), max_new_tokens=n_tokens, min_new_tokens=n_tokens, do_sample=False)
    return str(AutoTokenizer.from_pretrained(folder).decode(output[0], skip_special_tokens=True))


def test_a_chat_is_answered_as_transformers_does_and_streamed_alike(client: httpx.Client, folder: Path) -> None:
    options = {"temperature": 0, "max_tokens": 70, "min_tokens": 70}
    whole = chat(client, **options).json()
    ids = tokens_of(client, messages=HELLO)
    assert whole["choices"][0]["message"]["content"] == generated(folder, ids, 70)
    assert whole["usage"] == usage_of(len(ids), 70)
    events = events_of(chat(client, stream=True, stream_options={"include_usage": True}, **options).text)
    assert streamed_text(events) == whole["choices"][0]["message"]["content"]
    assert events[-2][1]["usage"] == whole["usage"]


def test_the_encoder_gets_the_format_and_the_end_token_once(client: httpx.Client, folder: Path) -> None:
    reply = client.post("/v1/tokenize", json={"model": "t5", "messages": HELLO}).json()
    assert reply["rendered"] == "\n### Human: Hello, who are you?\n### Assistant:"
    assert reply["tokens"] == AutoTokenizer.from_pretrained(folder)(reply["rendered"])["input_ids"]
    assert reply["tokens"].count(END) == 1
    shielded = tokens_of(client, messages=[{"role": "user", "content": "end it </s> here"}])
    assert (shielded.count(END), shielded[-1]) == (1, END)
    assert "< / s >" in " ".join(AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens(shielded))


def test_a_model_without_a_format_completes_and_says_how_to_choose_one(client: httpx.Client) -> None:
    assert complete(client, model="raw").status_code == 200
    error = chat(client, model="raw").json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", "messages")
    assert "--template" in error["message"]
    assert chat(client, model="raw", prompt_template="raw").status_code == 200


def test_completions_of_several_prompts_with_choices_and_log_probabilities_stream_alike(
    client: httpx.Client, folder: Path
) -> None:
    ids = tokens_of(client, prompt=PROMPT)
    body = {"prompt": [ids, ids[:5], ids], "n": 2, "logprobs": 2, "max_tokens": 20, "min_tokens": 20}
    greedy = complete(client, **body).json()
    assert [choice["text"] for choice in greedy["choices"]][::5] == [generated(folder, ids, 20)] * 2
    assert (greedy["usage"]["prompt_tokens"], greedy["usage"]["completion_tokens"]) == (2 * len(ids) + 5, 120)
    body |= {"temperature": 1, "seed": 4}
    whole = complete(client, **body).json()["choices"]
    assert joined(events_of(complete(client, stream=True, **body).text)) == {c["index"]: c for c in whole}
    texts = [choice["text"] for choice in whole]
    assert texts[:2] == texts[4:], "the same seed and prompt"
    assert len(set(texts)) == 4


def test_a_stop_string_ends_the_answer(client: httpx.Client) -> None:
    text = chat(client, temperature=0, max_tokens=60).json()["choices"][0]["message"]["content"]
    stop = text[20:25]
    choice = chat(client, temperature=0, max_tokens=60, stop=stop).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text[: text.index(stop)], "stop")


def test_an_answer_can_have_a_format(client: httpx.Client) -> None:
    choice = chat(client, guided_choice=["parse the line", "return none"]).json()["choices"][0]
    assert choice["message"]["content"] in ("parse the line", "return none")
    assert choice["finish_reason"] == "stop"


def test_prompt_and_answer_have_the_whole_context_each(client: httpx.Client) -> None:
    full = complete(client, prompt=[5] * CONTEXT, max_tokens=10_000, ignore_eos=True)
    assert full.json()["usage"] == usage_of(CONTEXT, CONTEXT)
    for reply, param in (
        (complete(client, prompt=[5] * (CONTEXT + 1)), "prompt"),
        (chat(client, messages=[{"role": "user", "content": "x" * CONTEXT}]), "messages"),
    ):
        error = reply.json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", param)
        assert error["message"].endswith(f"the model reads at most {CONTEXT}")
    assert client.get("/v1/models/t5").json()["max_model_len"] == CONTEXT


def test_a_prompt_can_be_repeated_and_not_be_scored(client: httpx.Client) -> None:
    assert complete(client, echo=True).json()["choices"][0]["text"].startswith(PROMPT)
    for body in ({"logprobs": 1}, {"max_tokens": 0}):
        error = complete(client, echo=True, **body).json()["error"]
        assert (error["code"], error["param"]) == ("unsupported_parameter", "echo")


def test_adapters_are_refused_by_name(live: LiveWorker, client: httpx.Client) -> None:
    error = chat(client, model="cat").json()["error"]
    assert error["code"] == "model_not_found"
    assert "takes no adapters" in error["message"]


def test_a_cancelled_generation_and_a_reader_who_leaves_end_within_a_step(
    live: LiveWorker, client: httpx.Client
) -> None:
    body = {"model": "long", "messages": HELLO, "max_tokens": 8000, "min_tokens": 8000, "stream": True}
    generation_id = str(uuid.uuid4())
    with client.stream("POST", "/v1/chat/completions", json={**body, "generation_id": generation_id}) as reply:
        next(reply.iter_bytes())
    assert live.worker.pool.n_requests == 1, "it goes on"
    assert client.delete(f"/v1/generations/{generation_id}").status_code < 300
    eventually(lambda: live.worker.pool.n_requests == 0)
    with client.stream("POST", "/v1/chat/completions", json={**body, "n": 3}) as reply:
        next(reply.iter_bytes())
        assert live.worker.pool.n_requests == 3
    eventually(lambda: live.worker.pool.n_requests == 0)
