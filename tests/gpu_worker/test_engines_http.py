"""One contract for every engine: ours, llama.cpp with a real GGUF file, and vLLM played by a stand-in."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from gguf import GGUFWriter
from transformers import AutoTokenizer

from benchmarks.gguf_export import Precision, write_gguf
from gpu_worker.engine.interface import EngineKind
from gpu_worker.engine.token_text import TokenText
from gpu_worker.modeling.source import ModelRefused, ModelSpec
from gpu_worker.protocol import ModelState
from gpu_worker.server.foreign import choose_engine
from gpu_worker.server.models import ServingOptions
from tests.gpu_worker.live_worker import LiveWorker, eventually, live_worker, usage_of
from tests.gpu_worker.test_tools_http import FAMILIES
from tests.gpu_worker.tiny_models import TOOLS_CHAT_TEMPLATE, make_tiny_model
from tests.gpu_worker.tiny_t5 import make_tiny_t5

HELLO = [{"role": "user", "content": "Hello, who are you?"}]
HALF_CHARACTER = 130
"""A token of the tiny models: the first byte of é."""
STAND_IN = Path(__file__).parent / "vllm_stand_in"


@pytest.fixture(scope="module")
def gguf(endless: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "endless.gguf"
    write_gguf(endless, path, Precision.F32)
    return path


@pytest.fixture(scope="module")
def vllm_installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STAND_IN))
        patch.setenv("PYTHONPATH", str(STAND_IN))
        yield


@pytest.fixture(scope="module", params=list(EngineKind))
def live(request: pytest.FixtureRequest, endless: Path, gguf: Path) -> Iterator[LiveWorker]:
    kind = request.param
    if kind is EngineKind.VLLM:
        request.getfixturevalue("vllm_installed")
    source = gguf if kind is EngineKind.LLAMACPP else endless
    options = ServingOptions(device="cpu", dtype="float32", max_batch=4, max_queue=8, max_context=20_000, threads=1)
    with live_worker({"tiny": source}, options, engine=kind) as live:
        (model,) = live.worker.pool.models.values()
        assert model.state is ModelState.LOADED, model.error
        yield live


def post(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO, "max_tokens": 12, **body})


def whole(client: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = post(client, **body)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def text_of(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


def read_events(text: str) -> list[tuple[int, Any]]:
    events = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        events.append((int(lines["id"]), json.loads(lines["data"]) if lines["data"] != "[DONE]" else None))
    return events


def streamed(events: list[tuple[int, Any]]) -> str:
    return "".join(data["choices"][0]["delta"].get("content", "") for _, data in events if data and data.get("choices"))


def test_whole_and_streamed_answers_are_the_same_with_exact_usage(client: httpx.Client) -> None:
    answer = whole(client, temperature=0)
    events = read_events(post(client, temperature=0, stream=True, stream_options={"include_usage": True}).text)
    assert text_of(answer)
    assert streamed(events) == text_of(answer)
    assert [number for number, _ in events] == list(range(1, len(events) + 1))
    n_prompt = client.post("/v1/tokenize", json={"model": "tiny", "messages": HELLO}).json()["count"]
    assert answer["usage"] == usage_of(n_prompt, 12, n_cached=answer["usage"]["prompt_tokens_details"]["cached_tokens"])
    assert answer["choices"][0]["finish_reason"] == "length"
    del events[-2][1]["usage"]["prompt_tokens_details"], answer["usage"]["prompt_tokens_details"]
    assert events[-2][1]["usage"] == answer["usage"]


def test_what_an_engine_did_not_compute_again_is_told(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "A question that is longer than a block of stored tokens. " * 5}]
    first = whole(client, messages=messages)["usage"]
    events = read_events(post(client, messages=messages, stream=True, stream_options={"include_usage": True}).text)
    n_prompt = first["prompt_tokens"]
    n_cached = events[-2][1]["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert first == usage_of(n_prompt, 12, n_cached=first["prompt_tokens_details"]["cached_tokens"])
    assert first["prompt_tokens_details"]["cached_tokens"] < n_prompt / 2, "at most what all chats begin with"
    assert n_prompt - 64 <= n_cached < n_prompt
    assert whole(client, messages=messages)["usage"] == usage_of(n_prompt, 12, n_cached=n_cached)


def test_temperature_zero_and_seeds_repeat_and_other_seeds_differ(client: httpx.Client) -> None:
    assert len({text_of(whole(client, temperature=0)) for _ in range(3)}) == 1
    seeded = {seed: {text_of(whole(client, seed=seed)) for _ in range(2)} for seed in (1, 2, 2**62)}
    assert all(len(texts) == 1 for texts in seeded.values())
    assert len(set.union(*seeded.values())) == 3


def test_a_stop_string_across_tokens_ends_the_answer_before_it(client: httpx.Client) -> None:
    text = text_of(whole(client, temperature=0, max_tokens=40))
    stop = text[15:21]
    answer = whole(client, temperature=0, max_tokens=40, stop=[stop])
    events = read_events(post(client, temperature=0, max_tokens=40, stop=[stop], stream=True).text)
    assert text_of(answer) == streamed(events) == text[: text.index(stop)]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] < 40


def test_concurrent_streams_are_each_as_alone(client: httpx.Client) -> None:
    """Greedily: at a draw, the rounding of llama.cpp's batches of different size may choose another token."""

    def streamed_answer(i: int) -> str:
        messages = [{"role": "user", "content": f"Count from {i % 4}."}]
        return streamed(read_events(post(client, messages=messages, temperature=0, stream=True).text))

    alone = [streamed_answer(i) for i in range(4)]
    assert len(set(alone)) > 1
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(streamed_answer, range(8))) == alone + alone


def test_several_choices_come_from_one_request(client: httpx.Client) -> None:
    answer = whole(client, n=3, seed=7)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["completion_tokens"] == 36


def test_a_plain_text_is_continued_too(client: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": "def f(x):", "max_tokens": 5, "temperature": 0}
    reply = client.post("/v1/completions", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["text"]
    assert reply.json()["usage"]["completion_tokens"] == 5


def test_cancelled_generations_free_their_places_for_those_who_wait(live: LiveWorker, client: httpx.Client) -> None:
    ids = [str(uuid.uuid4()) for _ in range(4)]
    with ThreadPoolExecutor(5) as pool:
        streams = [pool.submit(post, client, max_tokens=15_000, stream=True, generation_id=i) for i in ids]
        eventually(lambda: live.metric("running", model="tiny") == 4)
        waiting = pool.submit(whole, client, max_tokens=3)
        eventually(lambda: live.worker.pool.n_requests == 5)
        for number in ids:
            assert client.delete(f"/v1/generations/{number}").status_code == 204
        assert waiting.result(20)["usage"]["completion_tokens"] == 3
        for stream in streams:
            ends = [data for _, data in read_events(stream.result(20).text) if data]
            assert ends[-2]["choices"][0]["finish_reason"] == "cancelled"
            assert ends[-1]["usage"]["completion_tokens"] < 15_000
    assert live.worker.pool.n_requests == 0


def test_a_caller_who_leaves_ends_a_plain_generation(live: LiveWorker, client: httpx.Client) -> None:
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 15_000, "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        assert next(reply.iter_lines())
    eventually(lambda: live.worker.pool.n_requests == 0)


def test_a_generation_is_read_again_from_any_number(client: httpx.Client) -> None:
    number = str(uuid.uuid4())
    events = read_events(post(client, stream=True, generation_id=number).text)
    again = read_events(client.get(f"/v1/generations/{number}/events?after=4").text)
    assert again == events[4:]


def test_beyond_the_queue_a_request_is_refused_to_be_tried_again(live: LiveWorker, client: httpx.Client) -> None:
    reply = post(client, n=12, max_tokens=4)
    assert reply.status_code == 200, "4 that run and 8 that wait"
    assert post(client, n=13, max_tokens=4).status_code == 400


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        (EngineKind.LLAMACPP, {"presence_penalty": 1}, "presence_penalty"),
        (EngineKind.LLAMACPP, {"frequency_penalty": 1}, "frequency_penalty"),
        (EngineKind.LLAMACPP, {"min_tokens": 2}, "min_tokens"),
        (EngineKind.LLAMACPP, {"stop_token_ids": (HALF_CHARACTER,)}, "stop_token_ids"),
        (EngineKind.LLAMACPP, {"logprobs": True}, "logprobs"),
        (EngineKind.LLAMACPP, {"response_format": {"type": "json_object"}}, "response_format"),
        (EngineKind.LLAMACPP, {"guided_regex": "a+"}, "guided_regex"),
        (EngineKind.VLLM, {"shows_markers": True}, "tools"),
        (EngineKind.VLLM, {"logprobs": True}, "logprobs"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_by_name(
    kind: EngineKind, body: dict[str, Any], param: str, endless: Path
) -> None:
    from gpu_worker.engine.dialects import ControlTokens, LlamaCpp, Vllm, refuse_unsupported
    from gpu_worker.engine.request import SamplingParams
    from gpu_worker.errors import WorkerError

    values = dict(body)
    if "logprobs" in values:
        values["logprobs"] = 0
    if param in ("response_format", "guided_regex"):
        values = {"grammar": SimpleNamespace(param=param)}
    tokens = TokenText(AutoTokenizer.from_pretrained(endless))
    dialect = LlamaCpp(tokens, ControlTokens({}, frozenset())) if kind is EngineKind.LLAMACPP else Vllm("tiny")
    with pytest.raises(WorkerError, match=str(kind)) as caught:
        refuse_unsupported(dialect, SamplingParams(max_tokens=5, **values))
    assert caught.value.param == param


# --- the child servers ---


def test_llamacpp_answers_as_our_engine_does(endless: Path, gguf: Path) -> None:
    options = ServingOptions(device="cpu", dtype="float32", max_batch=2, threads=1)
    with live_worker({"ours": endless, "theirs": gguf}, options) as live, live.client() as client:
        bodies: list[dict[str, Any]] = [
            {"temperature": 0, "max_tokens": 60},
            {"temperature": 0, "max_tokens": 60, "repetition_penalty": 1.3},
            {"temperature": 0, "max_tokens": 60, "logit_bias": {"40": -100, "305": 5}},
        ]
        for body in bodies:
            ours, theirs = (whole(client, model=name, **body) for name in ("ours", "theirs"))
            assert text_of(ours) == text_of(theirs)
            assert ours["usage"]["total_tokens"] == theirs["usage"]["total_tokens"]
            again = whole(client, model="ours", **body, logprobs=True)["choices"][0]["logprobs"]["content"]
            ids = client.post("/v1/tokenize", json={"model": "ours", "prompt": again[7]["token"]}).json()["tokens"]
            ours, theirs = (whole(client, model=name, **body, stop_token_ids=ids) for name in ("ours", "theirs"))
            assert text_of(ours) == text_of(theirs)
            assert ours["usage"]["completion_tokens"] == theirs["usage"]["completion_tokens"] <= 8
            assert theirs["choices"][0]["finish_reason"] == "stop"
        reply = post(client, model="theirs", presence_penalty=1)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unsupported_parameter")
        assert reply.json()["error"]["param"] == "presence_penalty"
        reports = {model.name: model for model in live.worker.lease_request("http://here", 1).models}
        assert reports["theirs"].dtype == "f32"
        assert reports["theirs"].n_parameters == reports["ours"].n_parameters
        assert reports["theirs"].context_length == reports["ours"].context_length


def test_the_end_token_ends_it_is_counted_and_is_not_shown(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "ends", never_ends=False)
    path = tmp_path / "ends.gguf"
    write_gguf(folder, path, Precision.F32)
    options = ServingOptions(device="cpu", dtype="float32", max_batch=2, threads=1)
    with live_worker({"ours": folder, "theirs": path}, options) as live, live.client() as client:
        body = {"temperature": 0, "max_tokens": 20, "logit_bias": {"2": 8}}
        ours, theirs = (whole(client, model=name, **body) for name in ("ours", "theirs"))
        assert ours["choices"][0]["finish_reason"] == theirs["choices"][0]["finish_reason"] == "stop"
        assert (text_of(ours), ours["usage"]) == (text_of(theirs), theirs["usage"])


def test_a_stop_token_behind_half_a_character_ends_the_answer(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "ends", never_ends=False)
    path = tmp_path / "ends.gguf"
    write_gguf(folder, path, Precision.F32)
    # The penalty makes the first give way to the second, which is in the prompt.
    body = {"temperature": 0, "repetition_penalty": 3, "logit_bias": {str(HALF_CHARACTER): 90, "1": 100}}
    with live_worker({"tiny": path}, ServingOptions(device="cpu", threads=1)) as live, live.client() as client:
        answer = whole(client, **body, stop_token_ids=[1])
        assert (text_of(answer), answer["choices"][0]["finish_reason"]) == ("\ufffd", "stop")
        assert answer["usage"]["completion_tokens"] == 2
        assert "<s>" not in text_of(whole(client, **body))


@pytest.mark.parametrize("family", ["hermes", "mistral"])
def test_llamacpp_shows_the_marks_of_calls_only_where_calls_are_read(family: str, tmp_path: Path) -> None:
    taught, markers = FAMILIES[family]
    template = TOOLS_CHAT_TEMPLATE.replace("TAUGHT", taught)
    folder = make_tiny_model(tmp_path / "marks", chat_template=template, markers=markers)
    path = tmp_path / "marks.gguf"
    write_gguf(folder, path, Precision.F32)
    options = ServingOptions(device="cpu", dtype="float32", max_batch=2, threads=1)
    marker = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(markers[0])
    tools = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]
    with live_worker({"ours": folder, "theirs": path}, options) as live, live.client() as client:
        for asked in ({"tools": tools}, {}):
            body = {"temperature": 0, "logit_bias": {str(marker): 100}, **asked}
            ours, theirs = (whole(client, model=name, **body)["choices"][0] for name in ("ours", "theirs"))
            assert ours == theirs
            assert (markers[0] in ours["message"]["content"]) is bool(asked)
        refusal = post(client, model="theirs", tools=tools, tool_choice="required").json()["error"]
        assert (refusal["code"], refusal["param"]) == ("unsupported_parameter", "tools")


@pytest.mark.parametrize(("are_special", "status"), [(False, 200), (True, 400)])
def test_vllm_reads_calls_unless_they_are_marked_by_special_tokens(
    are_special: bool, status: int, tmp_path: Path, vllm_installed: None
) -> None:
    taught, markers = FAMILIES["hermes"]
    template = TOOLS_CHAT_TEMPLATE.replace("TAUGHT", taught)
    folder = make_tiny_model(tmp_path / "marks", chat_template=template, markers=markers if are_special else ())
    options = ServingOptions(device="cpu", dtype="float32", max_batch=2, threads=1)
    tools = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]
    with live_worker({"tiny": folder}, options, engine=EngineKind.VLLM) as live, live.client() as client:
        reply = post(client, tools=tools)
        assert reply.status_code == status
        assert not are_special or reply.json()["error"]["param"] == "tools"


def test_an_error_that_a_child_reports_is_logged_in_its_words(
    endless: Path, vllm_installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    options = ServingOptions(device="cpu", dtype="float32", max_batch=2, threads=1)
    with live_worker({"tiny": endless}, options, engine=EngineKind.VLLM) as live, live.client() as client:
        reply = post(client, logit_bias={"1": 67})
        assert (reply.status_code, reply.json()["error"]["code"]) == (500, "internal_error")
        assert "reported {'message': 'EngineCore is dead', 'code': 500}" in caplog.text
        assert post(client).status_code == 200


def test_a_child_that_dies_fails_what_runs_and_is_started_again(endless: Path, vllm_installed: None) -> None:
    options = ServingOptions(device="cpu", dtype="float32", max_batch=4, threads=1)
    with live_worker({"tiny": endless}, options, engine=EngineKind.VLLM) as live, live.client() as client:
        number = str(uuid.uuid4())
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(lambda: post(client, max_tokens=15_000, stream=True, generation_id=number).text)
            eventually(lambda: live.metric("generation_tokens_total", model="tiny") > 5)
            assert post(client, logit_bias={"1": 66}).status_code == 500
            assert read_events(running.result(20))[-1][1]["error"]["code"] == "internal_error"
        statuses: list[int] = []

        def answers() -> bool:
            statuses.append(post(client).status_code)
            return statuses[-1] == 200

        eventually(answers, 30)
        assert set(statuses) <= {200, 500, 503}


# --- which engine, and what it refuses ---


def test_the_engine_is_chosen_by_the_files_or_by_hand(endless: Path, gguf: Path) -> None:
    assert choose_engine(ModelSpec(str(endless), "m")) is EngineKind.TORCH
    assert choose_engine(ModelSpec(str(gguf), "m")) is EngineKind.LLAMACPP
    assert choose_engine(ModelSpec(str(gguf.parent), "m")) is EngineKind.LLAMACPP
    assert choose_engine(ModelSpec(str(endless), "m", engine=EngineKind.VLLM)) is EngineKind.VLLM
    for source, kind in ((gguf, EngineKind.TORCH), (gguf, EngineKind.VLLM), (endless, EngineKind.LLAMACPP)):
        with pytest.raises(ModelRefused, match=str(kind)):
            choose_engine(ModelSpec(str(source), "m", engine=kind))


def test_of_two_gguf_files_one_must_be_named(gguf: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(gguf.read_bytes())
    with pytest.raises(ModelRefused, match="2 GGUF files"):
        choose_engine(ModelSpec(str(tmp_path), "m"))


def refusal(source: Path, engine: EngineKind | None = None) -> str:
    options = ServingOptions(device="cpu", dtype="float32", threads=1)
    with live_worker({"parrot": source}, options, engine=engine) as live:
        (model,) = live.worker.pool.models.values()
        assert model.state is ModelState.FAILED
        assert model.error is not None
        assert str(source) not in model.error
        return model.error


def test_without_its_library_an_engine_says_how_to_install_it(
    gguf: Path, endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_worker.server.foreign.find_spec", lambda name: None)
    assert "fastchat-site[llamacpp]" in refusal(gguf)
    assert "pip install vllm" in refusal(endless, EngineKind.VLLM)


def test_encoder_decoder_models_are_left_to_our_engine(tmp_path: Path, vllm_installed: None) -> None:
    path = tmp_path / "t5.gguf"
    writer = GGUFWriter(path, "t5")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert refusal(path).endswith("served from safetensors, and its GGUF file is a t5")
    assert "by the engine torch, not by vllm" in refusal(make_tiny_t5(tmp_path / "t5"), EngineKind.VLLM)


def test_a_damaged_gguf_file_is_refused(gguf: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf.read_bytes()[:5000])
    assert "damaged" in refusal(cut)
    (tmp_path / "none.gguf").write_bytes(b"GGUF")
    assert "damaged" in refusal(tmp_path / "none.gguf")


def test_a_tokenizer_that_is_not_the_models_is_refused(gguf: Path, endless: Path, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(gguf.read_bytes())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text((endless / name).read_text())
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:50]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "otherwise than llama.cpp" in refusal(tmp_path)
