"""Adapters over HTTP: served as models of their own, loaded and unloaded while their base serves."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from gpu_worker.modeling.source import AdapterSpec
from gpu_worker.server.models import ServingOptions
from tests.gpu_worker.live_worker import LiveWorker, eventually, live_worker
from tests.gpu_worker.tiny_adapters import base_model, make_adapter

# PEFT reads it of every model that it wraps.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

HELLO = [{"role": "user", "content": "Hello, who are you?"}]
TARGETS = ["q_proj", "k_proj", "v_proj", "gate_proj", "down_proj"]


@pytest.fixture(scope="module")
def folders(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {
        name: make_adapter(root / name, tiny, seed=seed, r=4, lora_alpha=8, target_modules=TARGETS)
        for seed, name in enumerate(("cat", "dog"))
    }


@pytest.fixture(scope="module")
def live(
    tiny: Path, endless: Path, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveWorker]:
    adapters = (
        AdapterSpec("tiny", str(folders["cat"]), "cat"),
        AdapterSpec("tiny", str(folders["cat"]) + "-no", "bad"),
    )
    options = ServingOptions(
        device="cpu", dtype="float32", adapters=adapters, models_dir=tmp_path_factory.getbasetemp()
    )
    with live_worker({"tiny": tiny, "endless": endless}, options) as live:
        yield live


@pytest.fixture
def dog(client: httpx.Client, folders: dict[str, Path]) -> Iterator[None]:
    reply = client.post("/v1/adapters", json={"base": "tiny", "source": str(folders["dog"])})
    assert reply.status_code == 201, reply.text
    yield
    client.delete("/v1/adapters/dog")


def chat(client: httpx.Client, model: str, **body: Any) -> httpx.Response:
    body = {"messages": HELLO, "max_tokens": 24, "temperature": 0, **body}
    return client.post("/v1/chat/completions", json={"model": model, **body})


def answer(client: httpx.Client, model: str) -> str:
    reply = chat(client, model)
    assert reply.status_code == 200, reply.text
    assert reply.json()["model"] == model
    return str(reply.json()["choices"][0]["message"]["content"])


def peft_answer(client: httpx.Client, tiny: Path, adapter: Path) -> str:
    ids = client.post("/v1/tokenize", json={"model": "tiny", "messages": HELLO}).json()["tokens"]
    oracle: Any = PeftModel.from_pretrained(base_model(tiny), str(adapter))
    with torch.inference_mode():
        output = oracle.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False, eos_token_id=None)
    return str(AutoTokenizer.from_pretrained(tiny).decode(output[0, len(ids) :], skip_special_tokens=True))


def test_base_and_adapters_answer_together_as_each_alone(
    client: httpx.Client, dog: None, tiny: Path, folders: dict[str, Path]
) -> None:
    expected = {name: peft_answer(client, tiny, folder) for name, folder in folders.items()}
    expected["tiny"] = answer(client, "tiny")
    assert len(set(expected.values())) == 3
    wanted = ["cat", "tiny", "dog"] * 4
    with ThreadPoolExecutor(len(wanted)) as pool:
        answers = list(pool.map(lambda name: answer(client, name), wanted))
    assert answers == [expected[name] for name in wanted]


def test_an_adapter_is_listed_reported_and_counted_under_its_own_name(
    live: LiveWorker, client: httpx.Client, dog: None
) -> None:
    listed = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert listed["dog"]["parent"] == "tiny"
    assert listed["dog"]["max_model_len"] == listed["tiny"]["max_model_len"]
    assert listed["tiny"]["parent"] is None
    lease = live.worker.lease_request("http://here", 1.0)
    report = next(model for model in lease.models if model.name == "dog")
    assert (report.state, report.base) == ("loaded", "tiny")
    assert type(lease).from_json(lease.to_json()) == lease
    before = live.metric("generation_tokens_total", model="dog")
    of_base = live.metric("generation_tokens_total", model="tiny")
    answer(client, "dog")
    assert live.metric("generation_tokens_total", model="dog") == before + 24
    assert live.metric("generation_tokens_total", model="tiny") == of_base


def test_a_report_without_a_base_is_read_by_a_site_that_knows_no_adapters(live: LiveWorker) -> None:
    reports = live.worker.lease_request("http://here", 1.0).to_json()["models"]
    assert ["base" in report for report in reports if report["name"] in ("tiny", "cat")] == [False, True]


def test_an_adapter_that_cannot_be_loaded_keeps_nobody_from_being_served(client: httpx.Client) -> None:
    states = {model["name"]: model for model in client.get("/ready").json()["models"]}
    assert states["bad"]["state"] == "failed"
    assert "no folder" in states["bad"]["error"]
    assert chat(client, "bad").status_code == 404
    assert chat(client, "cat").status_code == 200


def test_an_unloaded_adapter_finishes_what_runs_and_takes_nothing_new(
    live: LiveWorker, client: httpx.Client, endless: Path, tmp_path: Path
) -> None:
    folder = make_adapter(tmp_path / "owl", endless, seed=5, r=2, lora_alpha=4, target_modules=["v_proj"])
    assert client.post("/v1/adapters", json={"base": "endless", "source": str(folder)}).status_code == 201
    number = str(uuid.uuid4())
    body = {"model": "owl", "messages": HELLO, "max_tokens": 20_000, "generation_id": number, "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        lines = reply.iter_lines()
        assert next(lines)
        assert client.delete("/v1/adapters/owl").status_code == 204
        assert chat(client, "owl").status_code == 404
        assert live.worker.pool.n_requests >= 1
        assert client.delete(f"/v1/generations/{number}").status_code == 204
        assert "cancelled" in "".join(lines)
    eventually(lambda: live.worker.pool.n_requests == 0)
    # Its name is free again, and so is its memory.
    assert client.post("/v1/adapters", json={"base": "endless", "source": str(folder)}).status_code == 201
    assert client.delete("/v1/adapters/owl").status_code == 204


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"base": "nobody"}, "model"),
        ({"base": "cat"}, "base"),
        ({"base": 5}, "base"),
        ({"base": ""}, "source"),
        ({"source": None}, "source"),
        ({"source": "/nowhere/at/all"}, "source"),
        ({"source": "a=b"}, "source"),
        ({"source": "x" * 5000 + "/y"}, "source"),
        ({"source": "~nobody-here/y"}, "source"),
        ({"source": "\0"}, "source"),
        ({"name": "tiny"}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"name": ["dog"]}, "name"),
        ({"base": "endless", "name": "\ud800"}, "name"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name(
    changes: dict[str, object], param: str, client: httpx.Client, folders: dict[str, Path]
) -> None:
    body = json.dumps({"base": "tiny", "source": str(folders["dog"]), **changes})
    reply = client.post("/v1/adapters", content=body)
    assert reply.status_code in (400, 404), reply.text
    assert reply.json()["error"]["param"] == param


def test_without_the_operators_leave_none_is_loaded_by_request(tiny: Path, folders: dict[str, Path]) -> None:
    with live_worker({"tiny": tiny}) as live, live.client() as client:
        reply = client.post("/v1/adapters", json={"base": "tiny", "source": str(folders["dog"])})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unsupported_parameter")
        assert "--models-dir" in reply.json()["error"]["message"]


def test_an_adapter_of_another_base_is_refused(client: httpx.Client, tmp_path: Path) -> None:
    from tests.gpu_worker.tiny_models import Shape, make_tiny_model

    wide = make_tiny_model(tmp_path / "wide", shape=Shape(hidden=96))
    folder = make_adapter(tmp_path / "fox", wide, seed=1, r=2, lora_alpha=4, target_modules=["q_proj"])
    reply = client.post("/v1/adapters", json={"base": "tiny", "source": str(folder)})
    assert reply.status_code == 400
    assert "another base" in reply.json()["error"]["message"]


def test_only_adapters_are_unloaded_by_this_door_and_only_with_the_token(
    live: LiveWorker, client: httpx.Client
) -> None:
    assert client.delete("/v1/adapters/tiny").status_code == 400
    assert client.delete("/v1/adapters/nobody").status_code == 404
    assert httpx.post(f"{live.url}/v1/adapters", json={}, trust_env=False).status_code == 401
    assert httpx.delete(f"{live.url}/v1/adapters/cat", trust_env=False).status_code == 401


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base=/a/b", AdapterSpec("base", "/a/b", "b")),
        ("base=org/x@v2=mine", AdapterSpec("base", "org/x", "mine", "v2")),
    ],
)
def test_an_adapter_is_named_by_its_last_part_or_by_hand(text: str, expected: AdapterSpec) -> None:
    assert AdapterSpec.parse(text) == expected


@pytest.mark.parametrize("text", ["", "base", "base=", "=x", "base=/"])
def test_an_adapter_needs_a_base_a_source_and_a_name(text: str) -> None:
    with pytest.raises(ValueError, match="PATH_OR_HUB_ID"):
        AdapterSpec.parse(text)
