"""A text-classification model as a moderation endpoint: its numbers are transformers', and it reads all of a text."""

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from safetensors.torch import load_file, save_file
from starlette.testclient import TestClient

from gpu_worker.classification import app as classification_app
from gpu_worker.classification.app import build_app
from gpu_worker.classification.model import LoadedClassifier, categories_of, load_classifier
from gpu_worker.modeling.source import ModelRefused, ModelSpec
from tests.gpu_worker.tiny_classifiers import make_tiny_classifier
from tests.gpu_worker.tiny_embedders import make_tiny_embedder

TEXTS = ["Hello there", "What is a fox?", "a"]
LONG = "The quick brown fox jumps over the lazy dog. " * 40


def load(path: Path, *harmless: str) -> LoadedClassifier:
    return load_classifier(ModelSpec(str(path), "judge"), device="cpu", harmless=harmless)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_classifier(tmp_path_factory.mktemp("models") / "judge")


def logits_of(loaded: LoadedClassifier, text: str) -> torch.Tensor:
    """As its model card would have it."""
    with torch.inference_mode():
        logits: torch.Tensor = loaded.model(**loaded.tokenizer(text, return_tensors="pt")).logits[0]
    return logits


@pytest.mark.parametrize("is_multi_label", [True, False])
def test_scores_are_those_of_the_model_however_texts_are_grouped(tmp_path: Path, is_multi_label: bool) -> None:
    loaded = load(make_tiny_classifier(tmp_path / "m", is_multi_label=is_multi_label), "neutral")
    together = loaded.scores(TEXTS * 10)
    for text, scores in zip(TEXTS * 10, together, strict=True):
        logits = logits_of(loaded, text)
        expected = (logits.sigmoid() if is_multi_label else logits.softmax(-1)).tolist()[1:]
        assert list(scores) == ["self-harm", "hate"]
        assert list(scores.values()) == pytest.approx(expected, abs=1e-5)


def test_a_long_text_is_as_bad_as_its_worst_window(folder: Path) -> None:
    loaded = load(folder)
    cut = loaded.tokenizer(
        LONG, truncation=True, max_length=64, stride=8, return_overflowing_tokens=True, return_tensors=None
    )
    assert len(cut["input_ids"]) > 5
    windows = [
        loaded.model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits[0]
        for ids in cut["input_ids"]
    ]
    worst = torch.stack(windows).sigmoid().max(0).values.tolist()
    [scores] = loaded.scores([LONG])
    assert list(scores.values()) == pytest.approx(worst, abs=1e-5)


def test_labels_become_categories_that_policies_can_name() -> None:
    labels = {0: "neutral", 1: "Self Harm", 2: "hate/Threatening", 3: "LABEL_3"}
    assert categories_of(labels, {"neutral"}, "m") == ("", "self-harm", "hate/threatening", "label_3")
    for wrong, harmless, words in (
        ({0: "ok"}, {"ok"}, "no categories"),
        ({0: "!!"}, set(), "no categories"),
        ({0: "a b", 1: "A-B"}, set(), "no categories"),
        ({0: "hate"}, {"neutral"}, "no label 'neutral', only 'hate'"),
    ):
        with pytest.raises(ModelRefused, match=words):
            categories_of(wrong, harmless, "m")


def test_what_is_no_safe_classifier_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelRefused, match="pickled"):
        load(make_tiny_classifier(tmp_path / "pickled", safe=False))
    with pytest.raises(ModelRefused, match="ForSequenceClassification"):
        load(make_tiny_embedder(tmp_path / "vectors", pooling=None))
    own_code = shutil.copytree(folder, tmp_path / "code")
    config = (own_code / "config.json").read_text()
    (own_code / "config.json").write_text(config.replace("{", '{"auto_map": {"AutoConfig": "x.Y"},', 1))
    with pytest.raises(ModelRefused, match="Python code"):
        load(own_code)


def test_a_classifier_that_has_lost_a_part_of_its_weights_is_refused_and_does_not_judge_at_random(
    tmp_path: Path, folder: Path
) -> None:
    lost = shutil.copytree(folder, tmp_path / "lost")
    weights = load_file(lost / "model.safetensors")
    head = next(name for name in weights if name.startswith("classifier") and name.endswith("weight"))
    save_file({name: value for name, value in weights.items() if name != head}, lost / "model.safetensors")
    with pytest.raises(ModelRefused, match=f"missing or misshapen, such as {head}"):
        load(lost)


# --- Over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(folder: Path) -> TestClient:
    return TestClient(build_app(load(folder, "neutral"), threshold=0.5, access_token="secret"))


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/moderations", json=body, headers={"Authorization": "Bearer secret"})


def test_it_answers_as_openai_does(client: TestClient) -> None:
    told = ask(client, input=[*TEXTS, {"type": "text", "text": LONG}], model="judge").json()
    assert (told["id"][:5], told["model"], len(told["results"])) == ("modr-", "judge", 4)
    for result in told["results"]:
        assert result["categories"] == {name: score >= 0.5 for name, score in result["category_scores"].items()}
        assert result["flagged"] is any(result["categories"].values())
    [alone] = ask(client, input="Hello there").json()["results"]
    assert alone["category_scores"] == pytest.approx(told["results"][0]["category_scores"], abs=1e-5)
    assert client.get("/health").json() == {"status": "ok", "model": "judge"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": ["x"] * 33}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": "x", "model": "another"}, "model"),
        ({"input": [{"type": "image_url", "image_url": {"url": "data:"}}]}, "input[0]"),
    ],
)
def test_what_it_does_not_judge_is_refused_by_field(client: TestClient, body: dict[str, Any], param: str) -> None:
    reply = ask(client, **body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_nobody_asks_without_the_token(client: TestClient) -> None:
    assert client.post("/v1/moderations", json={"input": "Hi"}).status_code == 401


async def test_more_than_may_wait_are_told_to_come_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification_app, "MAX_WAITING", 1)
    loaded, begun, released = load(folder), threading.Event(), threading.Event()

    class Slow:
        name = "judge"

        def scores(self, texts: list[str]) -> list[dict[str, float]]:
            begun.set()
            assert released.wait(20)
            return loaded.scores(texts)

    app = build_app(Slow(), threshold=0.5, access_token="")  # type: ignore[arg-type]  # as much of it as is used
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://judge") as client:
        first = asyncio.create_task(client.post("/v1/moderations", json={"input": "Hi"}))
        await asyncio.to_thread(begun.wait, 20)
        assert (await client.post("/v1/moderations", json={"input": "Hi"})).status_code == 503
        released.set()
        assert (await first).status_code == 200
