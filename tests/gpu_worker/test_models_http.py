"""Models come and go while a real worker serves."""

import gc
import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gpu_worker.errors import WorkerError
from gpu_worker.server.loading import LoadCall, parse_load
from gpu_worker.server.models import ServingOptions
from tests.gpu_worker.live_worker import LiveWorker, eventually, live_worker
from tests.gpu_worker.tiny_adapters import make_adapter

# PEFT's own use of transformers.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """What may be loaded: a model, a broken one, and a link to one outside."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny, folder / "team" / "wren")
    shutil.copytree(tiny, folder / "broken")
    (folder / "broken" / "model.safetensors").write_bytes(b"\x00" * 100)
    (folder / "link").symlink_to(tiny)
    return folder


@pytest.fixture(scope="module")
def worker(endless: Path, models_dir: Path) -> Iterator[LiveWorker]:
    options = ServingOptions(device="cpu", dtype="float32", models_dir=models_dir)
    with live_worker({"parrot": endless}, options) as running:
        yield running


@pytest.fixture
def client(worker: LiveWorker) -> Iterator[httpx.Client]:
    with worker.client() as client:
        yield client


def load(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/v1/models/load", json=body)


def state(client: httpx.Client, name: str) -> str:
    report: dict[str, Any] = client.get(f"/v1/models/{name}").json()["report"]
    return str(report["state"])


def chat(client: httpx.Client, model: str, **more: object) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": model, "messages": HELLO, "max_tokens": 3, **more})


@pytest.fixture
def wren(client: httpx.Client) -> Iterator[str]:
    """A model that was loaded by request, and is gone after the test."""
    reply = load(client, source="team/wren")
    assert (reply.status_code, reply.json()["id"]) == (202, "wren")
    assert reply.json()["report"]["state"] == "loading"
    eventually(lambda: state(client, "wren") == "loaded")
    yield "wren"
    client.delete("/v1/models/wren?drain_s=0")


def test_a_model_is_loaded_answers_and_is_gone(worker: LiveWorker, client: httpx.Client, wren: str) -> None:
    assert chat(client, wren).status_code == 200
    assert {item["id"] for item in client.get("/v1/models").json()["data"]} == {"parrot", "wren"}
    assert {report.name for report in worker.worker.pool.reports()} == {"parrot", "wren"}
    assert client.delete("/v1/models/wren").status_code == 204
    assert chat(client, wren).status_code == 404
    assert client.get("/v1/models/wren").status_code == 404
    assert {report.name for report in worker.worker.pool.reports()} == {"parrot"}
    assert chat(client, "parrot").status_code == 200


def test_an_unloaded_models_weights_are_free(worker: LiveWorker, client: httpx.Client, wren: str) -> None:
    assert chat(client, wren).status_code == 200
    loaded: Any = worker.worker.pool.get(wren)._loaded
    assert loaded is not None
    weights = weakref.ref(loaded.model.model.embed_tokens.weight)
    del loaded
    assert weights() is not None
    assert client.delete("/v1/models/wren").status_code == 204
    gc.collect()
    assert weights() is None


def test_a_model_may_be_loaded_again_under_other_names_and_quantised(client: httpx.Client, wren: str) -> None:
    for name, kind in (("eight", "int8"), ("wren/two", None)):
        assert load(client, source="team/wren", name=name, quantize=kind).status_code == 202
        eventually(lambda name=name: state(client, name) == "loaded")  # type: ignore[misc]
        assert chat(client, name).status_code == 200
    assert client.get("/v1/models/eight").json()["report"]["dtype"] == "int8"
    for name in ("eight", "wren/two"):
        assert client.delete(f"/v1/models/{name}").status_code == 204


def test_running_answers_of_others_go_on_meanwhile(client: httpx.Client) -> None:
    body = {"model": "parrot", "messages": HELLO, "stream": True, "max_tokens": 5000}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        lines = (line for line in reply.iter_lines() if line.startswith("data: {"))
        next(lines)
        assert load(client, source="team/wren").status_code == 202
        eventually(lambda: state(client, "wren") == "loaded")
        assert client.delete("/v1/models/wren").status_code == 204
        assert "content" in next(lines)


def test_unloading_lets_running_answers_finish(client: httpx.Client, wren: str) -> None:
    body = {"model": wren, "messages": HELLO, "stream": True, "max_tokens": 400}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        lines = reply.iter_lines()
        assert next(lines)
        assert client.delete("/v1/models/wren?drain_s=60").status_code == 204
        assert [line for line in lines if line][-1] == "data: [DONE]"


def test_unloading_ends_what_does_not_finish_in_time(models_dir: Path, client: httpx.Client, endless: Path) -> None:
    shutil.copytree(endless, models_dir / "long", dirs_exist_ok=True)
    assert load(client, source="long").status_code == 202
    eventually(lambda: state(client, "long") == "loaded")
    body = {"model": "long", "messages": HELLO, "stream": True, "max_tokens": 29_000}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        lines = reply.iter_lines()
        assert next(lines)
        assert client.delete("/v1/models/long?drain_s=0").status_code == 204
        last = [line for line in lines if line.startswith("data:")][-1]
    assert json.loads(last.removeprefix("data:"))["error"]["code"] == "shutting_down"


def test_a_base_stays_until_its_adapters_are_gone(
    client: httpx.Client, wren: str, tiny: Path, models_dir: Path
) -> None:
    folder = make_adapter(models_dir / "red", tiny, seed=1, r=2, lora_alpha=4, target_modules=["q_proj"])
    reply = client.post("/v1/adapters", json={"base": wren, "source": folder.name, "name": "red-wren"})
    assert reply.status_code == 201, reply.text
    refused = client.delete("/v1/models/wren")
    assert (refused.status_code, "red-wren" in refused.text) == (400, True)
    refused = client.delete("/v1/models/red-wren")
    assert (refused.status_code, "is an adapter" in refused.text) == (400, True)
    assert chat(client, "red-wren").status_code == 200
    assert client.delete("/v1/adapters/red-wren").status_code == 204
    assert client.delete("/v1/models/wren").status_code == 204


def test_a_model_that_fails_says_why_and_can_be_removed(client: httpx.Client) -> None:
    assert load(client, source="broken").status_code == 202
    eventually(lambda: state(client, "broken") == "failed")
    assert "damaged or incomplete" in client.get("/v1/models/broken").json()["report"]["error"]
    assert client.get("/ready").status_code == 200, "the worker is as ready as it was"
    assert client.delete("/v1/models/broken").status_code == 204


@pytest.mark.parametrize(
    "source",
    [
        "../tiny",
        "team/../../tiny",
        "/etc",
        "/",
        ".",
        "",
        "link",
        "nowhere",
        "org/model",
        "org/model@main",
        "~",
        "a\x00b",
    ],
)
def test_only_what_lies_in_the_folder_may_be_loaded(client: httpx.Client, source: str) -> None:
    reply = load(client, source=source, name="x")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "source")


def test_an_absolute_path_may_be_loaded_only_inside(client: httpx.Client, models_dir: Path, tiny: Path) -> None:
    assert load(client, source=str(tiny)).status_code == 400
    assert load(client, source=str(models_dir)).status_code == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "source"),
        ({"source": 5}, "source"),
        ({"source": "x" * 1001}, "source"),
        ({"source": "team/wren=x"}, "source"),
        ({"source": "team/wren", "name": ""}, "name"),
        ({"source": "team/wren", "name": 5}, "name"),
        ({"source": "team/wren", "name": "x" * 201}, "name"),
        ({"source": "team/wren", "name": "a\nb"}, "name"),
        ({"source": "team/wren", "name": "parrot"}, "name"),
        ({"source": "team/wren", "quantize": "int3"}, "quantize"),
        ({"source": "team/wren", "quantize": ["int8"]}, "quantize"),
    ],
)
def test_a_malformed_request_names_its_field(client: httpx.Client, body: dict[str, object], param: str) -> None:
    reply = load(client, **body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_what_is_not_there_cannot_be_removed(client: httpx.Client) -> None:
    assert client.delete("/v1/models/nobody").status_code == 404
    for drain in ("-1", "x", "3601", "9" * 50):
        assert client.delete(f"/v1/models/parrot?drain_s={drain}").json()["error"]["param"] == "drain_s"


def test_strangers_load_and_remove_nothing(worker: LiveWorker) -> None:
    with httpx.Client(base_url=worker.url, trust_env=False) as stranger:
        assert load(stranger, source="team/wren").status_code == 401
        assert stranger.delete("/v1/models/parrot").status_code == 401


def call(**body: object) -> LoadCall:
    return parse_load(body)


def test_the_hub_is_asked_only_if_the_operator_allows_it(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkerError, match="--models-dir"):
        call(source="org/model").spec(None, from_hub=False)
    spec = call(source="org/model@v1", name="x").spec(models_dir, from_hub=True)
    assert (spec.source, spec.revision, spec.name) == ("org/model", "v1", "x")
    assert call(source="team/wren").spec(models_dir, from_hub=True).source == str(models_dir / "team" / "wren")
    monkeypatch.chdir(models_dir)
    with pytest.raises(WorkerError, match="no model"):
        call(source="team/wren").spec(None, from_hub=True)
