"""The API as its clients meet it: the official SDK, a real worker with a real tiny model, on both ASGI servers."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from django.conf import settings
from django.test import override_settings

from apps.core.sealing import unseal
from tests.gpu_worker.tiny_models import TOOLS_CHAT_TEMPLATE, Shape, make_tiny_model
from tests.live import LiveSite, running_site, wait_until

pytestmark = pytest.mark.processes

HI: Any = [{"role": "user", "content": "Hi there"}]


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    folder = tmp_path_factory.mktemp(request.param)
    model: Path = make_tiny_model(folder / "tiny", shape=Shape(context=16_384), chat_template=TOOLS_CHAT_TEMPLATE)
    with running_site(folder, server=request.param) as site:
        site.start_worker(model, "tiny")
        yield site


@pytest.fixture(scope="module")
def key(site: LiveSite) -> str:
    return site.api_key()


@pytest.fixture
def client(site: LiveSite, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def greedy(client: openai.OpenAI, max_tokens: int = 24) -> tuple[str, str | None, int]:
    reply = client.chat.completions.create(model="tiny", messages=HI, max_tokens=max_tokens, temperature=0)
    assert reply.usage is not None
    return reply.choices[0].message.content or "", reply.choices[0].finish_reason, reply.usage.completion_tokens


def test_the_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    model = client.models.retrieve("tiny")
    assert (model.id, model.object) == ("tiny", "model")


def test_a_streamed_answer_joins_to_the_whole_one(client: openai.OpenAI) -> None:
    whole, finish_reason, n_tokens = greedy(client)
    assert (finish_reason, n_tokens) == ("length", 24)

    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=HI,
            max_tokens=24,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["length"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert (chunks[-1].choices, chunks[-1].usage and chunks[-1].usage.completion_tokens) == ([], 24)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len(chunks) > 5


def test_cached_tokens_pass_through_the_site_whole_and_streamed(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "A question that is longer than a block of stored tokens. " * 5}]
    ask: Any = {"model": "tiny", "messages": messages, "max_tokens": 2, "n": 2}
    usages: Any = [client.chat.completions.create(**ask).usage for _ in range(2)]
    chunks: Any = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    first, second, streamed = [usage.prompt_tokens_details.cached_tokens for usage in (*usages, chunks[-1].usage)]
    assert first == 0
    assert second == streamed >= 64


def test_a_seed_repeats_and_sampling_fields_reach_the_worker(client: openai.OpenAI) -> None:
    def sample(seed: int) -> str | None:
        reply = client.chat.completions.create(
            model="tiny",
            messages=HI,
            max_tokens=16,
            temperature=1.5,
            seed=seed,
        )
        return reply.choices[0].message.content

    assert sample(1) == sample(1) != sample(2)


def test_choices_and_log_probabilities_pass_through_the_site_whole_and_streamed(client: openai.OpenAI) -> None:
    def create(**more: Any) -> Any:
        return client.chat.completions.create(
            model="tiny", messages=HI, max_tokens=12, seed=3, n=2, logprobs=True, top_logprobs=2, **more
        )

    whole = create()
    streamed: dict[int, list[str]] = {0: [], 1: []}
    for chunk in create(stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += [entry.token for entry in (choice.logprobs and choice.logprobs.content) or []]
    assert whole.usage.completion_tokens == 24
    for choice in whole.choices:
        tokens = [entry.token for entry in choice.logprobs.content]
        assert "".join(tokens) == choice.message.content
        assert streamed[choice.index] == tokens
        assert all(len(entry.top_logprobs) == 2 for entry in choice.logprobs.content)


def test_a_schema_passes_through_the_site_whole_and_streamed(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
    ask: Any = {"model": "tiny", "messages": HI, "max_tokens": 300, "seed": 4, "timeout": 120}
    ask["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    reply = client.chat.completions.create(**ask).choices[0]
    assert reply.finish_reason == "stop"
    assert list(json.loads(reply.message.content or "")) == ["n"]
    chunks = client.chat.completions.create(**ask, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == reply.message.content


def test_tools_pass_through_the_site_whole_and_streamed(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Ulm", "Bonn"]}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    ask: Any = {"model": "tiny", "messages": HI, "max_tokens": 300, "seed": 4, "timeout": 120, "tools": [tool]}
    ask["tool_choice"] = {"type": "function", "function": {"name": "weather"}}
    reply = client.chat.completions.create(**ask).choices[0]
    assert reply.finish_reason == "tool_calls"
    [call] = reply.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Ulm", "Bonn")
    deltas = [
        delta
        for chunk in client.chat.completions.create(**ask, stream=True)
        for delta in chunk.choices[0].delta.tool_calls or []
    ]
    assert deltas[0].function is not None
    assert deltas[0].function.name == "weather"
    assert "".join(d.function.arguments or "" for d in deltas if d.function is not None) == call.function.arguments
    told = [{"role": "assistant", "tool_calls": [call.model_dump()]}]
    told.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    answer = client.chat.completions.create(**{**ask, "messages": HI + told, "tool_choice": "none", "max_tokens": 4})
    assert answer.choices[0].finish_reason == "length"


def test_errors_are_the_sdks_own_exceptions(client: openai.OpenAI, site: LiveSite) -> None:
    def create(**changes: Any) -> Any:
        return client.chat.completions.create(**({"model": "tiny", "messages": HI} | changes))

    with pytest.raises(openai.NotFoundError) as unknown:
        create(model="nope")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as hot:
        create(temperature=9)
    assert hot.value.param == "temperature"
    for field, value in {"best_of": 2, "reasoning_effort": "high", "store": True}.items():
        with pytest.raises(openai.BadRequestError) as unsupported:
            create(extra_body={field: value})
        assert (unsupported.value.param, unsupported.value.code) == (field, "unsupported_parameter")
    with pytest.raises(openai.BadRequestError) as long:
        create(messages=[{"role": "user", "content": "word " * 20_000}])
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as empty:
        create(messages=[], stream=True)
    assert empty.value.param == "messages"
    stranger = client.with_options(api_key="fcs_wrong")
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_a_body_over_the_limit_is_refused(site: LiveSite, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "x" * (9 << 20)}]})
    reply = httpx.post(f"{site.url}/v1/chat/completions", content=body, headers=headers, trust_env=False)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize(
    "own", [{"generation_id": "not even a uuid"}, {"prompt_template": "nonsense"}, {"priority": "first"}]
)
def test_fields_between_site_and_worker_are_not_a_programs_to_set(
    site: LiveSite, key: str, own: dict[str, str]
) -> None:
    reply = httpx.post(
        f"{site.url}/v1/chat/completions",
        json={"model": "tiny", "messages": HI, "max_tokens": 2, **own},
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    assert reply.status_code == 200


def test_the_prompt_format_is_the_one_that_an_admin_chose(site: LiveSite, client: openai.OpenAI) -> None:
    def choose(template: str) -> None:
        site.query("UPDATE catalog_languagemodel SET prompt_template = %s RETURNING name", template)

    own = client.chat.completions.create(model="tiny", messages=HI, max_tokens=1).usage
    try:
        choose("alpaca")
        chosen = client.chat.completions.create(model="tiny", messages=HI, max_tokens=1).usage
        choose("alpacca")
        with pytest.raises(openai.BadRequestError, match=r"no template 'alpacca'; near are .*alpaca"):
            greedy(client)
    finally:
        choose("")
    assert own is not None
    assert chosen is not None
    assert chosen.prompt_tokens > own.prompt_tokens


def test_more_streams_at_once_than_database_connections_are_all_served(site: LiveSite, key: str) -> None:
    n_streams = settings.DATABASE_POOL_SIZE + 8

    async def first_words() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0, timeout=90) as client:

            async def one() -> str:
                stream = await client.chat.completions.create(model="tiny", messages=HI, max_tokens=150, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*(one() for _ in range(n_streams)))

    assert all(asyncio.run(first_words()))


def test_a_client_that_leaves_a_stream_frees_the_worker(site: LiveSite, key: str) -> None:
    before = cancelled(site)
    body = {"model": "tiny", "messages": HI, "stream": True}
    with (
        httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {key}"}) as client,
        client.stream("POST", f"{site.url}/v1/chat/completions", json=body) as reply,
    ):
        assert next(reply.iter_lines()).startswith("data:")
    wait_until(lambda: cancelled(site) == before + 1, what="the worker to count the request as cancelled")


def test_a_client_that_leaves_a_whole_answer_frees_the_worker(site: LiveSite, key: str) -> None:
    before = cancelled(site)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{site.url}/v1/chat/completions",
            json={"model": "tiny", "messages": HI},
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(10, read=0.5),
            trust_env=False,
        )
    wait_until(lambda: cancelled(site) == before + 1, what="the worker to count the request as cancelled")


def cancelled(site: LiveSite) -> float:
    """The worker's own count of requests whose reader left."""
    [(url, sealed)] = site.query(
        "SELECT w.base_url, w.sealed_token FROM workers_worker w JOIN workers_hostedmodel h ON h.worker_id = w.id"
        " JOIN catalog_languagemodel m ON m.id = h.model_id WHERE m.name = 'tiny'"
    )
    with override_settings(ENCRYPTION_KEYS=[site.env["SECRET_KEY"]]):
        token = unseal(str(sealed), use=str(url))
    text = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"}, trust_env=False).text
    counts = [line for line in text.splitlines() if line.startswith("fastchat_worker_requests_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counts if 'reason="disconnect' in line)
