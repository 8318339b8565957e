"""Text completions over HTTP: prompts of every kind, echo, legacy log probabilities, and every refusal."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import torch

from gpu_worker.modeling.loading import LoadOptions, load_model
from gpu_worker.modeling.source import ModelSpec
from tests.gpu_worker.live_worker import TOKEN, LiveWorker, eventually, live_worker, usage_of
from tests.gpu_worker.test_chat_http import events_of

PROMPT = "def parse(text):\n    return"


@pytest.fixture(scope="module")
def live(tiny: Path, endless: Path, templateless: Path) -> Iterator[LiveWorker]:
    with live_worker({"tiny": tiny, "endless": endless, "templateless": templateless}) as live:
        yield live


def complete(client: httpx.Client, **body: Any) -> httpx.Response:
    whole = {"model": "tiny", "prompt": PROMPT, "temperature": 0, **body}
    return client.post("/v1/completions", content=json.dumps(whole))


def choices(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    reply = complete(client, **body)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["choices"]
    return found


def tokens_of(client: httpx.Client, text: str) -> list[int]:
    ids: list[int] = client.post("/v1/tokenize", json={"model": "tiny", "prompt": text}).json()["tokens"]
    return ids


def joined(events: list[tuple[int, Any]]) -> dict[int, dict[str, Any]]:
    """Each choice of a stream, as it would be in one piece."""
    whole: dict[int, dict[str, Any]] = {}
    for _, data in events[:-1]:
        assert data["object"] == "text_completion"
        for chunk in data["choices"]:
            choice = whole.setdefault(chunk["index"], {"index": chunk["index"], "text": "", "logprobs": None})
            choice["text"] += chunk["text"]
            choice["finish_reason"] = chunk["finish_reason"]
            if chunk["logprobs"] is not None:
                kept = choice["logprobs"] or {key: [] for key in chunk["logprobs"]}
                choice["logprobs"] = {key: kept[key] + values for key, values in chunk["logprobs"].items()}
    return whole


def test_a_completion_has_openais_shape_and_sixteen_tokens(client: httpx.Client) -> None:
    body = complete(client).json()
    assert body["object"] == "text_completion"
    assert body["id"].startswith("cmpl-")
    assert body["choices"][0].keys() == {"index", "text", "logprobs", "finish_reason"}
    assert (body["choices"][0]["logprobs"], body["choices"][0]["finish_reason"]) == (None, "length")
    n_prompt = len(tokens_of(client, PROMPT))
    assert body["usage"] == usage_of(n_prompt, 16)


def test_a_model_without_a_chat_template_completes(client: httpx.Client) -> None:
    assert choices(client, model="templateless")[0]["text"]


def test_every_kind_of_prompt_is_taken(client: httpx.Client) -> None:
    other = "import os"
    ids, other_ids = tokens_of(client, PROMPT), tokens_of(client, other)
    first, second = choices(client)[0]["text"], choices(client, prompt=other)[0]["text"]
    assert first != second
    assert [c["text"] for c in choices(client, prompt=ids)] == [first]
    assert [c["text"] for c in choices(client, prompt=[PROMPT])] == [first]
    assert [c["text"] for c in choices(client, prompt=[PROMPT, other])] == [first, second]
    assert [c["text"] for c in choices(client, prompt=[other_ids, ids])] == [second, first]


def test_prompts_times_n_choices_come_in_order_with_exact_usage(client: httpx.Client) -> None:
    prompts = [PROMPT, "import os"]
    options: dict[str, Any] = {"temperature": 1, "seed": 8, "n": 2, "max_tokens": 6}
    body = complete(client, prompt=prompts, **options).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    apart = [choice["text"] for prompt in prompts for choice in choices(client, prompt=prompt, **options)]
    assert [choice["text"] for choice in body["choices"]] == apart
    n_prompt = sum(len(tokens_of(client, prompt)) for prompt in prompts)
    assert body["usage"] == usage_of(n_prompt, 24)
    twice = complete(client, prompt=[PROMPT, PROMPT], **options).json()
    n_each = len(tokens_of(client, PROMPT))
    assert twice["usage"] == usage_of(2 * n_each, 24, n_cached=n_each - 1), "the second prompt is the first one again"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"echo": True},
        {"logprobs": 2, "stop": ["e", "\n"]},
        {"echo": True, "logprobs": 1, "n": 2},
        {"echo": True, "logprobs": 0, "max_tokens": 0, "prompt": [PROMPT, "import os"]},
        {"echo": True, "max_tokens": 0},
    ],
    ids=str,
)
def test_a_stream_is_what_comes_in_one_piece(client: httpx.Client, options: dict[str, Any]) -> None:
    options = {"temperature": 1, "seed": 4, **options}
    whole = complete(client, **options).json()
    events = events_of(complete(client, stream=True, stream_options={"include_usage": True}, **options).text)
    streamed = joined(events)
    for choice in whole["choices"]:
        own, other = choice.pop("logprobs"), streamed[choice["index"]].pop("logprobs")
        assert streamed[choice["index"]] == choice
        if own is None:
            assert other is None
            continue
        for key in ("tokens", "text_offset"):
            assert own[key] == other[key]
        assert own["token_logprobs"] == pytest.approx(other["token_logprobs"], abs=1e-4)
    assert events[-2][1]["usage"] == whole["usage"]
    assert events[-1][1] == "[DONE]"


def test_echoed_log_probabilities_score_the_prompt_as_one_forward_pass_does(client: httpx.Client, tiny: Path) -> None:
    body = complete(client, echo=True, max_tokens=0, logprobs=5).json()
    choice = body["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == (PROMPT, "length")
    assert body["usage"]["completion_tokens"] == 0
    ids = tokens_of(client, PROMPT)
    loaded = load_model(ModelSpec(str(tiny), "m"), LoadOptions((torch.device("cpu"),), "float32"), lambda share: None)
    with torch.inference_mode():
        scores = loaded.model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    expected = scores.gather(-1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()
    logprobs = choice["logprobs"]
    assert logprobs["token_logprobs"][1:] == pytest.approx(expected, abs=1e-4)
    assert (logprobs["token_logprobs"][0], logprobs["top_logprobs"][0]) == (None, None)
    for token, logprob, top in zip(
        logprobs["tokens"][1:], logprobs["token_logprobs"][1:], logprobs["top_logprobs"][1:], strict=True
    ):
        assert top[token] == logprob
        assert len(top) in (5, 6)


def test_offsets_point_at_each_tokens_text_in_prompt_and_answer(client: httpx.Client) -> None:
    choice = choices(client, echo=True, logprobs=0, max_tokens=12)[0]
    text, logprobs = choice["text"], choice["logprobs"]
    assert text.startswith(PROMPT)
    assert len(logprobs["tokens"]) == len(tokens_of(client, PROMPT)) + 12
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert text[offset : offset + len(token)] == token
    assert [*logprobs["top_logprobs"][-1]] == [logprobs["tokens"][-1]]


def test_openais_own_client_completes_streams_and_scores(live: LiveWorker) -> None:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=TOKEN, max_retries=0) as sdk:
        whole = sdk.completions.create(model="tiny", prompt=PROMPT, seed=4, max_tokens=9, logprobs=2, echo=True)
        stream = sdk.completions.create(model="tiny", prompt=PROMPT, seed=4, max_tokens=9, stream=True)
        assert PROMPT + "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text
        assert whole.choices[0].logprobs is not None
        assert "".join(whole.choices[0].logprobs.tokens or []) == whole.choices[0].text
        with pytest.raises(openai.BadRequestError, match="suffix"):
            sdk.completions.create(model="tiny", prompt=PROMPT, suffix="end")


def test_a_prompt_that_fills_the_context_can_be_scored_but_not_continued(client: httpx.Client) -> None:
    full = [5] * 512
    scored = complete(client, prompt=full, max_tokens=0, echo=True, logprobs=1)
    assert len(scored.json()["choices"][0]["logprobs"]["tokens"]) == 512
    for prompt, more in ((full, {}), ([5] * 513, {"max_tokens": 0, "echo": True}), (["a", "x" * 5000], {})):
        reply = complete(client, prompt=prompt, **more)
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    assert choices(client, prompt=[5] * 500, max_tokens=100)[0]["finish_reason"] == "length"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": None}, "invalid_request", "prompt"),
    ({"prompt": ""}, "invalid_request", "prompt"),
    ({"prompt": []}, "invalid_request", "prompt"),
    ({"prompt": [[]]}, "invalid_request", "prompt"),
    ({"prompt": ["a", ""]}, "invalid_request", "prompt"),
    ({"prompt": ["a", [1]]}, "invalid_request", "prompt"),
    ({"prompt": [[1], 2]}, "invalid_request", "prompt"),
    ({"prompt": [1, "a"]}, "invalid_request", "prompt"),
    ({"prompt": [1.5]}, "invalid_request", "prompt"),
    ({"prompt": [True]}, "invalid_request", "prompt"),
    ({"prompt": [-1]}, "invalid_request", "prompt"),
    ({"prompt": [512]}, "invalid_request", "prompt"),
    ({"prompt": [10**30]}, "invalid_request", "prompt"),
    ({"prompt": [[5], [512]]}, "invalid_request", "prompt"),
    ({"prompt": {"text": "a"}}, "invalid_request", "prompt"),
    ({"prompt": 7}, "invalid_request", "prompt"),
    ({"prompt": ["a"] * 129}, "invalid_request", "prompt"),
    ({"prompt": ["a"] * 65, "n": 2}, "invalid_request", "prompt"),
    ({"prompt": "half \ud83d"}, "invalid_request", "prompt"),
    ({"n": 10_000}, "invalid_request", "n"),
    ({"best_of": 3}, "unsupported_parameter", "best_of"),
    ({"suffix": "end"}, "unsupported_parameter", "suffix"),
    ({"logprobs": 6}, "invalid_request", "logprobs"),
    ({"logprobs": -1}, "invalid_request", "logprobs"),
    ({"logprobs": True}, "invalid_request", "logprobs"),
    ({"max_tokens": 0}, "invalid_request", "max_tokens"),
    ({"max_tokens": -1, "echo": True}, "invalid_request", "max_tokens"),
    ({"echo": "yes"}, "invalid_request", "echo"),
    ({"temperature": 3}, "invalid_request", "temperature"),
    ({"logit_bias": {"512": 1}}, "invalid_request", "logit_bias"),
    ({"stop_token_ids": [512]}, "invalid_request", "stop_token_ids"),
    ({"stream_options": {"include_usage": True}}, "invalid_request", "stream_options"),
    ({"generation_id": "8b5c1c0e-7f0e-4f60-8a55-0d8f8a7f9a11"}, "unsupported_parameter", "generation_id"),
]


@pytest.mark.parametrize(("body", "code", "param"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_wrong_request_is_refused_by_name(client: httpx.Client, body: dict[str, Any], code: str, param: str) -> None:
    reply = complete(client, **body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == (code, param)


def test_a_reader_who_leaves_ends_all_prompts(live: LiveWorker, client: httpx.Client) -> None:
    body = {"model": "endless", "prompt": ["a", "b"], "n": 2, "max_tokens": 20_000, "stream": True}
    with client.stream("POST", "/v1/completions", json=body) as reply:
        next(reply.iter_bytes())
        assert live.worker.pool.n_requests == 4
    eventually(lambda: live.worker.pool.n_requests == 0)
