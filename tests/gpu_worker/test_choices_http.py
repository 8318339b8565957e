"""Several choices and log probabilities over HTTP: streamed is what is not streamed, and every count is exact."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gpu_worker.engine.request import choice_seed
from gpu_worker.server.models import ServingOptions
from tests.gpu_worker.live_worker import TOKEN, LiveWorker, eventually, live_worker, usage_of
from tests.gpu_worker.test_chat_http import HELLO, events_of
from tests.gpu_worker.tiny_models import make_tiny_model


@pytest.fixture(scope="module")
def live(tiny: Path, endless: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    # The third makes broken characters and end tokens too.
    wild = make_tiny_model(tmp_path_factory.mktemp("models") / "wild", never_ends=False, seed=3)
    with live_worker({"tiny": tiny, "endless": endless, "wild": wild}) as live:
        yield live


def chat(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO, "max_tokens": 20, **body})


def contents(reply: httpx.Response) -> list[str]:
    return [choice["message"]["content"] for choice in reply.json()["choices"]]


def joined(events: list[tuple[int, Any]]) -> dict[int, dict[str, Any]]:
    """Each choice of a stream, as it would be in one piece."""
    choices: dict[int, dict[str, Any]] = {}
    for _, data in events[:-1]:
        for chunk in data["choices"]:
            choice = choices.setdefault(chunk["index"], {"text": "", "logprobs": [], "reason": None})
            assert choice["reason"] is None, "a choice went on after its end"
            choice["text"] += chunk["delta"].get("content", "")
            choice["logprobs"] += (chunk["logprobs"] or {}).get("content", [])
            choice["reason"] = chunk["finish_reason"]
    return choices


def test_choices_come_by_their_index_and_the_prompt_is_counted_once(client: httpx.Client) -> None:
    body = chat(client, n=3).json()
    n_prompt = client.post("/v1/tokenize", json={"model": "tiny", "messages": HELLO}).json()["count"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["length"] * 3
    assert body["usage"] == usage_of(n_prompt, 60)
    assert len({choice["message"]["content"] for choice in body["choices"]}) == 3


def test_cached_tokens_are_those_that_no_choice_has_computed(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "A question that is longer than a block of stored tokens. " * 5}]
    first = chat(client, messages=messages, n=3).json()["usage"]
    again = chat(client, messages=messages, n=3).json()["usage"]
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    streamed = events_of(chat(client, messages=messages, n=3, **options).text)[-2][1]["usage"]
    n_prompt = first["prompt_tokens"]
    assert n_prompt > 64
    assert first == usage_of(n_prompt, 60)
    assert again == streamed == usage_of(n_prompt, 60, n_cached=(n_prompt - 1) // 64 * 64)


def test_with_a_seed_each_choice_can_be_had_again_alone_or_among_more(client: httpx.Client) -> None:
    three = contents(chat(client, n=3, seed=5))
    assert contents(chat(client, n=4, seed=5))[:3] == three
    assert [contents(chat(client, seed=choice_seed(5, i)))[0] for i in range(3)] == three


def test_streamed_choices_are_interleaved_and_equal_those_in_one_piece(client: httpx.Client) -> None:
    options: dict[str, Any] = {"n": 3, "seed": 5, "logprobs": True, "top_logprobs": 2}
    whole = chat(client, **options).json()
    events = events_of(chat(client, stream=True, stream_options={"include_usage": True}, **options).text)
    indices = [data["choices"][0]["index"] for _, data in events[:-2]]
    assert indices != sorted(indices)
    streamed = joined(events)
    for choice in whole["choices"]:
        one = streamed[choice["index"]]
        assert one["text"] == choice["message"]["content"]
        assert one["reason"] == choice["finish_reason"]
        assert [entry["token"] for entry in one["logprobs"]] == [e["token"] for e in choice["logprobs"]["content"]]
    assert events[-2][1]["usage"] == whole["usage"]
    assert all(data["usage"] is None for _, data in events[:-2])


@pytest.mark.parametrize("options", [{}, {"stop": ["e", "th", "\n"]}, {"stop": "s", "min_tokens": 10}, {"n": 2}])
@pytest.mark.parametrize("seed", range(4))
def test_every_tokens_entry_comes_once_with_its_text(client: httpx.Client, seed: int, options: dict[str, Any]) -> None:
    body = {"model": "wild", "seed": seed, "logprobs": True, "max_tokens": 60, **options}
    whole = chat(client, **body).json()
    events = events_of(chat(client, **body, stream=True).text)
    streamed = joined(events)
    entries = [entry for choice in whole["choices"] for entry in choice["logprobs"]["content"]]
    assert len(entries) == whole["usage"]["completion_tokens"]
    for choice in whole["choices"]:
        one = streamed[choice["index"]]
        assert one["text"] == choice["message"]["content"]
        own = choice["logprobs"]["content"]
        assert [(e["token"], e["bytes"]) for e in one["logprobs"]] == [(e["token"], e["bytes"]) for e in own]
        said = b"".join(bytes(entry["bytes"] or []) for entry in own).decode(errors="replace")
        assert said.startswith(choice["message"]["content"])
    for _, data in events[:-1]:
        if data["choices"][0]["delta"].get("content") and not data["choices"][0]["logprobs"]:
            assert "stop" in options, "text without an entry, though nothing can have been held back"


def test_log_probabilities_have_openais_shape(client: httpx.Client) -> None:
    choice = chat(client, temperature=0, logprobs=True, top_logprobs=3).json()["choices"][0]
    for entry in choice["logprobs"]["content"]:
        assert entry.keys() == {"token", "logprob", "bytes", "top_logprobs"}
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert entry["logprob"] <= 0
        # Greedy: the token itself is the likeliest.
        assert entry["top_logprobs"][0] == {key: entry[key] for key in ("token", "logprob", "bytes")}
        assert [top["logprob"] for top in entry["top_logprobs"]] == sorted(
            (top["logprob"] for top in entry["top_logprobs"]), reverse=True
        )
    assert "".join(entry["token"] for entry in choice["logprobs"]["content"]) == choice["message"]["content"]
    plain = chat(client, temperature=0, logprobs=True).json()["choices"][0]
    assert all(entry["top_logprobs"] == [] for entry in plain["logprobs"]["content"])
    assert chat(client, temperature=0).json()["choices"][0]["logprobs"] is None


def test_log_probabilities_do_not_depend_on_how_is_sampled(client: httpx.Client) -> None:
    forced = chat(client, max_tokens=1, temperature=2, seed=1, logit_bias={"70": 100}, logprobs=True)
    free = chat(client, max_tokens=1, temperature=0, logprobs=True, top_logprobs=20)
    entry = forced.json()["choices"][0]["logprobs"]["content"][0]
    assert entry["logprob"] < -0.01, "the bias must not make the token look likely"
    tops = {top["token"]: top["logprob"] for top in free.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]}
    if entry["token"] in tops:
        assert entry["logprob"] == pytest.approx(tops[entry["token"]], abs=1e-4)


def test_openais_own_client_reads_choices_and_log_probabilities(live: LiveWorker) -> None:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=TOKEN, max_retries=0) as sdk:
        messages: Any = HELLO
        whole = sdk.chat.completions.create(
            model="tiny", messages=messages, max_tokens=9, seed=4, n=2, logprobs=True, top_logprobs=2
        )
        for choice in whole.choices:
            assert choice.logprobs is not None
            content = choice.logprobs.content or []
            assert "".join(entry.token for entry in content) == choice.message.content
            assert all(len(entry.top_logprobs) == 2 for entry in content)


def test_min_tokens_keeps_the_end_away_and_stop_token_ids_end(client: httpx.Client) -> None:
    def answer(**body: Any) -> Any:
        return chat(client, temperature=0, logprobs=True, **body).json()

    free = answer(max_tokens=30)["choices"][0]
    ids = client.post("/v1/tokenize", json={"model": "tiny", "prompt": free["message"]["content"]}).json()["tokens"]
    stop = ids[5]
    ended = answer(max_tokens=30, stop_token_ids=[stop], ignore_eos=True)
    n_tokens = ended["usage"]["completion_tokens"]
    text = ended["choices"][0]["message"]["content"]
    assert ended["choices"][0]["finish_reason"] == "stop"
    assert n_tokens <= 30
    assert free["message"]["content"].startswith(text)
    assert len(ended["choices"][0]["logprobs"]["content"]) == n_tokens
    later = answer(max_tokens=30, stop_token_ids=[stop], min_tokens=n_tokens + 3)
    assert later["usage"]["completion_tokens"] >= n_tokens + 3


def test_cancelling_ends_all_choices_at_once_and_computes_no_more(live: LiveWorker, client: httpx.Client) -> None:
    generation_id = str(uuid.uuid4())
    body = {"model": "endless", "messages": HELLO, "stream": True, "n": 6, "generation_id": generation_id}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        next(reply.iter_bytes())
    assert client.delete(f"/v1/generations/{generation_id}").status_code == 204
    before = live.metric("generation_tokens_total", model="endless")
    eventually(lambda: live.worker.pool.n_requests == 0)
    # What the step computed that ran when the order came, and no other.
    assert live.metric("generation_tokens_total", model="endless") - before <= 2 * 6
    events = events_of(client.get(f"/v1/generations/{generation_id}/events").text)
    streamed = joined(events)
    assert [streamed[i]["reason"] for i in range(6)] == ["cancelled"] * 6
    n_tokens = sum(bool(d["choices"][0]["delta"].get("content")) for _, d in events[:-2] if d["choices"])
    assert events[-2][1]["usage"]["completion_tokens"] == n_tokens
    assert events[-1][1] == "[DONE]"


def test_a_reader_who_leaves_ends_all_choices_of_a_plain_call(live: LiveWorker, client: httpx.Client) -> None:
    before = live.metric("requests_total", model="endless", outcome="aborted", reason="disconnected")
    body = {"model": "endless", "messages": HELLO, "stream": True, "n": 4}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        next(reply.iter_bytes())
        assert live.worker.pool.n_requests == 4
    eventually(lambda: live.worker.pool.n_requests == 0)
    assert live.metric("requests_total", model="endless", outcome="aborted", reason="disconnected") == before + 1


def test_more_choices_than_the_worker_can_ever_hold_are_refused(tiny: Path) -> None:
    options = ServingOptions(device="cpu", dtype="float32", max_batch=2, max_queue=2)
    with live_worker({"tiny": tiny}, options) as live, live.client() as client:
        assert len(contents(chat(client, n=4))) == 4
        reply = chat(client, n=5)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "n")


def test_a_choice_that_fails_ends_its_call_and_no_other(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    model = make_tiny_model(tmp_path / "poisoned")
    weights = load_file(model / "model.safetensors")
    poison = 70
    weights["model.embed_tokens.weight"][poison] = torch.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with live_worker({"poisoned": model}) as live, live.client() as client:

        def body(**more: Any) -> dict[str, Any]:
            return {"model": "poisoned", "messages": HELLO, "max_tokens": 200, "n": 3, **more}

        never = {"logit_bias": {str(poison): -100}}
        with client.stream("POST", "/v1/chat/completions", json=body(stream=True, **never)) as healthy:
            lines = healthy.iter_lines()
            next(lines)
            failed = client.post("/v1/chat/completions", json=body(logit_bias={str(poison): 100}))
            assert failed.status_code == 500
            assert "not finite" in failed.json()["error"]["message"]
            rest = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        assert [d["choices"][0]["finish_reason"] for d in rest if d["choices"][0]["finish_reason"]] == ["length"] * 3
        eventually(lambda: live.worker.pool.n_requests == 0)
