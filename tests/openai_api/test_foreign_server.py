"""llama.cpp's own server as a provider: enrolled by command, and chatted with through the site's API."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from benchmarks.gguf_export import Precision, write_gguf
from gpu_worker.engine.llamacpp_server import KEY_VARIABLE, LlamaCppOptions
from tests.gpu_worker.tiny_models import Shape, make_tiny_model
from tests.live import LiveSite, Process, free_port, running_site, start_process, wait_until

pytestmark = pytest.mark.processes

KEY = "a-key-of-the-foreign-server-0123456789"
HI: Any = [{"role": "user", "content": "Hello, who are you?"}]


@dataclass
class LlamaCpp:
    """A server with one tiny model, which it lets nobody ask without its key. It may be killed and started again."""

    folder: Path
    gguf: Path
    port: int = field(default_factory=free_port)
    process: Process = field(init=False)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        options = LlamaCppOptions(str(self.gguf), self.port, 8192, n_parallel=2, n_threads=1, uses_gpu=False)
        command = ["-m", "gpu_worker.engine.llamacpp_server", options.to_json()]
        env = os.environ | {KEY_VARIABLE: KEY}
        self.process = start_process(command, env=env, log=self.folder / "llamacpp.log")
        wait_until(self._is_ready, what="llama.cpp to load its model", limit_s=60)

    def _is_ready(self) -> bool:
        self.process.assert_alive()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(scope="module")
def llamacpp(folder: Path) -> Iterator[LlamaCpp]:
    gguf = folder / "tiny.gguf"
    write_gguf(make_tiny_model(folder / "tiny", shape=Shape(context=4096)), gguf, Precision.F32)
    server = LlamaCpp(folder, gguf)
    server.start()
    yield server
    server.process.kill()


@pytest.fixture(scope="module")
def site(folder: Path, llamacpp: LlamaCpp) -> Iterator[LiveSite]:
    with running_site(folder) as site:
        site.env["FASTCHAT_PROVIDER_KEY"] = KEY
        site.manage("providers", "add", "lab", "--kind", "llamacpp", "--base-url", llamacpp.base_url)
        site.manage("providers", "map", "lab", "chat=whatever-is-loaded", "--context-length", "4096")
        yield site


@pytest.fixture
def client(site: LiveSite) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=site.api_key(), max_retries=0, timeout=60) as client:
        yield client


def test_the_foreign_model_is_offered_and_answers_whole_and_streamed_alike(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["chat"]
    ask: Any = {"model": "chat", "messages": HI, "max_tokens": 16, "temperature": 0}
    whole = client.chat.completions.create(**ask)
    assert whole.model == "chat"
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 16

    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == whole.choices[0].message.content
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["length"]
    assert (chunks[-1].choices, chunks[-1].usage and chunks[-1].usage.total_tokens) == ([], whole.usage.total_tokens)
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert {chunk.model for chunk in chunks} == {"chat"}


def test_what_it_does_not_take_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="chat", messages=HI, n=2)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "n")


def test_responses_and_texts_come_from_it_too(client: openai.OpenAI) -> None:
    told = client.responses.create(model="chat", input="Hello", max_output_tokens=8, temperature=0)
    assert told.output_text
    assert told.usage is not None
    assert told.usage.output_tokens == 8
    events = list(client.responses.create(model="chat", input="Hello", max_output_tokens=8, temperature=0, stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == told.output_text
    text = client.completions.create(model="chat", prompt="Hello", max_tokens=5, temperature=0)
    assert (text.model, text.choices[0].finish_reason, bool(text.choices[0].text)) == ("chat", "length", True)


def test_a_client_that_leaves_frees_its_place(site: LiveSite, client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="chat", messages=HI, max_tokens=3000, stream=True) as stream:
        next(iter(stream))
    idle = "SELECT id FROM workers_worker WHERE label = 'lab' AND assigned_since_report = 0"
    wait_until(lambda: site.query(idle), what="the place to be free")
    # Both of its places answer at once, so neither is held by what was left.
    told = [client.chat.completions.create(model="chat", messages=HI, max_tokens=2) for _ in range(3)]
    assert all(one.choices for one in told)


def test_a_prompt_that_is_too_long_for_it_is_told_as_that(client: openai.OpenAI) -> None:
    long: Any = [{"role": "user", "content": "word " * 9000}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="chat", messages=long)
    assert refused.value.code == "context_length_exceeded"


def test_the_ledger_and_the_commands_of_the_pool_know_it(site: LiveSite, client: openai.OpenAI) -> None:
    told = client.chat.completions.create(model="chat", messages=HI, max_tokens=3)
    assert told.usage is not None
    rows = site.query("SELECT prompt_tokens, completion_tokens FROM accounts_ledgerentry ORDER BY id DESC LIMIT 1")
    assert rows == [(told.usage.prompt_tokens, 3)]
    assert site.manage("test_message", "chat", "--message", "Hi", "--max-tokens", "4").strip()
    assert "answers and takes the key" in site.manage("providers", "check", "lab")
    assert KEY not in site.manage("workers", "list") + site.manage("providers", "list")


def test_a_request_waits_for_a_server_that_is_restarted_and_one_that_ran_is_told_so(
    client: openai.OpenAI, llamacpp: LlamaCpp
) -> None:
    running = client.chat.completions.create(model="chat", messages=HI, max_tokens=3000, stream=True)
    next(running)
    llamacpp.process.kill()
    with pytest.raises(openai.APIError) as broken:
        list(running)
    assert broken.value.code == "worker_died"

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.chat.completions.create, model="chat", messages=HI, max_tokens=2)
        llamacpp.start()
        assert waiting.result(60).choices


def test_a_wrong_key_is_found_by_the_check_and_said_nowhere(site: LiveSite, client: openai.OpenAI) -> None:
    wrong = "a-wrong-key-of-the-foreign-server-9876"
    site.env["FASTCHAT_PROVIDER_KEY"] = wrong
    site.manage("providers", "key", "lab")
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="chat", messages=HI, max_tokens=3)
    assert (refused.value.status_code, refused.value.code) == (503, "overloaded")
    assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 60
    log = (site.logs / "web.log").read_text()
    assert wrong not in refused.value.response.text + log
    assert KEY not in log
    site.env["FASTCHAT_PROVIDER_KEY"] = KEY
    site.manage("providers", "key", "lab")
    assert client.chat.completions.create(model="chat", messages=HI, max_tokens=3).choices
