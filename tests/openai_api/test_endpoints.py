"""Texts, vectors and tokens through the site, with the official SDK, a real worker and real tiny models."""

import base64
from typing import Any

import httpx
import numpy
import openai
import pytest

from tests.live import LiveSite

pytestmark = pytest.mark.processes


def post(site: LiveSite, key: str, path: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(site.url + path, json=body, headers=headers, trust_env=False, timeout=120)


def test_models_say_what_they_do(sdk: openai.OpenAI) -> None:
    told = {model.id: model.model_dump() for model in sdk.models.list()}
    assert {name: model["modalities"]["output"] for name, model in told.items()} == {
        "tiny": ["text"],
        "vectors": ["embedding"],
    }
    assert told["tiny"]["context_length"] == 2048
    assert sdk.models.retrieve("vectors").model_dump()["state"] == "ready"


def test_a_streamed_text_joins_to_the_whole_one(sdk: openai.OpenAI) -> None:
    ask: Any = {"model": "tiny", "prompt": ["Once upon", "Twice"], "max_tokens": 12, "temperature": 0}
    whole = sdk.completions.create(**ask, logprobs=1)
    chunks = list(sdk.completions.create(**ask, stream=True, stream_options={"include_usage": True}))

    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert [choice.finish_reason for choice in whole.choices] == ["length", "length"]
    assert all(len((choice.logprobs and choice.logprobs.tokens) or []) == 12 for choice in whole.choices)
    assert (whole.id[:5], whole.object) == ("cmpl-", "text_completion")
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


def test_a_text_may_be_given_as_tokens_and_echoed(sdk: openai.OpenAI, api_site: LiveSite, api_key: str) -> None:
    told = post(api_site, api_key, "/v1/tokenize", {"model": "tiny", "prompt": "Hi there"}).json()
    assert told["count"] == len(told["tokens"]) > 0
    assert told["max_model_len"] == 2048

    reply = sdk.completions.create(model="tiny", prompt=told["tokens"], max_tokens=1, echo=True)
    assert reply.choices[0].text.startswith("Hi there")
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == told["count"]


def test_the_tokens_of_a_chat_are_those_that_a_chat_is_charged(
    sdk: openai.OpenAI, api_site: LiveSite, api_key: str
) -> None:
    messages: Any = [{"role": "user", "content": "Hi there"}]
    told = post(api_site, api_key, "/v1/tokenize", {"model": "tiny", "messages": messages}).json()
    reply = sdk.chat.completions.create(model="tiny", messages=messages, max_tokens=1)
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == told["count"]
    assert "Hi there" in told["rendered"]


def test_a_prompt_format_chosen_for_chats_leaves_texts_alone(
    sdk: openai.OpenAI, api_site: LiveSite, api_key: str
) -> None:
    text = {"model": "tiny", "prompt": "Hi there"}
    before = post(api_site, api_key, "/v1/tokenize", text).json()
    api_site.query("UPDATE catalog_languagemodel SET prompt_template = 'alpaca' WHERE name = 'tiny' RETURNING name")
    try:
        assert post(api_site, api_key, "/v1/tokenize", text).json() == before
        chat = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
        assert "### Instruction:" in post(api_site, api_key, "/v1/tokenize", chat).json()["rendered"]
    finally:
        api_site.query("UPDATE catalog_languagemodel SET prompt_template = '' WHERE name = 'tiny' RETURNING name")


def test_vectors_are_the_same_in_both_encodings_and_at_both_addresses(
    sdk: openai.OpenAI, api_site: LiveSite, api_key: str
) -> None:
    by_sdk = sdk.embeddings.create(model="vectors", input=["an owl", "a fox"])
    body = {"input": ["an owl", "a fox"]}
    floats = post(api_site, api_key, "/v1/embeddings", body | {"model": "vectors"}).json()
    packed = post(api_site, api_key, "/v1/engines/vectors/embeddings", body | {"encoding_format": "base64"}).json()

    assert [item.index for item in by_sdk.data] == [0, 1]
    for sent, plain, coded in zip(by_sdk.data, floats["data"], packed["data"], strict=True):
        unpacked = numpy.frombuffer(base64.b64decode(coded["embedding"]), dtype="<f4")
        assert numpy.allclose(unpacked, plain["embedding"], atol=1e-6)
        assert numpy.allclose(unpacked, sent.embedding, atol=1e-6)
    assert by_sdk.usage.prompt_tokens == by_sdk.usage.total_tokens == floats["usage"]["total_tokens"] > 0


def test_an_engines_address_and_body_must_name_the_same_model(api_site: LiveSite, api_key: str) -> None:
    reply = post(api_site, api_key, "/v1/engines/vectors/embeddings", {"model": "tiny", "input": "an owl"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("path", "body", "wording"),
    [
        ("/v1/chat/completions", {"model": "vectors", "messages": []}, "cannot write"),
        ("/v1/completions", {"model": "vectors", "prompt": "x"}, "cannot write"),
        ("/v1/tokenize", {"model": "vectors", "prompt": "x"}, "cannot write"),
        ("/v1/embeddings", {"model": "tiny", "input": "x"}, "makes no vectors"),
    ],
)
def test_a_model_of_the_wrong_kind_is_refused_with_what_to_do(
    api_site: LiveSite, api_key: str, path: str, body: dict[str, Any], wording: str
) -> None:
    reply = post(api_site, api_key, path, body)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, "model", "unsupported_model")
    assert wording in error["message"]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings", "/v1/tokenize"])
def test_each_door_says_what_is_missing(api_site: LiveSite, api_key: str, path: str) -> None:
    reply = post(api_site, api_key, path, {"model": "tiny"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "missing_required_parameter")


def test_token_check_tells_what_fits(api_site: LiveSite, api_key: str) -> None:
    def check(*prompts: tuple[str, int]) -> Any:
        items = [{"model": "tiny", "prompt": prompt, "max_tokens": room} for prompt, room in prompts]
        return post(api_site, api_key, "/api/v1/token_check", {"prompts": items}).json()["prompts"]

    n_tokens = check(("Hi there", 0))[0]["tokenCount"]
    assert check(("Hi there", 2048 - n_tokens), ("Hi there", 2049 - n_tokens)) == [
        {"fits": True, "tokenCount": n_tokens, "contextLength": 2048},
        {"fits": False, "tokenCount": n_tokens, "contextLength": 2048},
    ]


@pytest.mark.parametrize(
    ("item", "status", "param"),
    [
        ({"model": "nope", "prompt": "x", "max_tokens": 1}, 404, "model"),
        ({"model": "tiny", "prompt": 7, "max_tokens": 1}, 400, "prompts[0].prompt"),
        ({"model": "tiny", "prompt": "x", "max_tokens": -1}, 400, "prompts[0].max_tokens"),
        ({"prompt": "x", "max_tokens": 1}, 400, "prompts[0].model"),
        ("x", 400, "prompts[0]"),
    ],
)
def test_token_check_refuses_by_field(api_site: LiveSite, api_key: str, item: Any, status: int, param: str) -> None:
    reply = post(api_site, api_key, "/api/v1/token_check", {"prompts": [item]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)
