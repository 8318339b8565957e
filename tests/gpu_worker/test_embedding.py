"""Vectors of texts: pooled as the model says, the same alone and in a batch, and what is refused."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize
from transformers import AutoModel

from gpu_worker.engine.embedding import EmbeddingEngine
from gpu_worker.errors import WorkerError
from gpu_worker.modeling.embedding import LoadedEmbedder, Pooling, load_embedder, pooled_vectors
from gpu_worker.modeling.loading import LoadOptions
from gpu_worker.modeling.source import ModelRefused, ModelSpec, Quantisation, embeds
from gpu_worker.protocol import WorkerErrorCode
from tests.gpu_worker.tiny_embedders import copied, make_tiny_embedder

OPTIONS = LoadOptions((torch.device("cpu"),), "float32")
TEXTS = [[5, 6, 7], list(range(3, 60)), [400], [9, 8, 7, 6, 5, 4, 3]]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_embedder(tmp_path_factory.mktemp("models") / "bert")


def load(path: Path, **spec: Any) -> LoadedEmbedder:
    return load_embedder(ModelSpec(str(path), "owl", **spec), OPTIONS, lambda share: None)


def refusal(path: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        load(path)
    assert str(path) not in str(caught.value)
    return str(caught.value)


def states(path: Path, ids: Sequence[int]) -> torch.Tensor:
    """`[tokens, size]`, as transformers computes them."""
    make: Any = AutoModel.from_pretrained
    with torch.inference_mode():
        found: torch.Tensor = make(path)(torch.tensor([list(ids)])).last_hidden_state[0]
    return found


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "lasttoken"])
def test_a_vector_is_pooled_as_the_model_says(pooling: str, tmp_path: Path) -> None:
    path = make_tiny_embedder(tmp_path / "m", pooling=pooling)
    tokens = states(path, TEXTS[1])
    expected = {"mean_tokens": tokens.mean(0), "cls_token": tokens[0], "lasttoken": tokens[-1]}[pooling]
    assert torch.allclose(load(path).embed([TEXTS[1]])[0], normalize(expected, dim=0), atol=1e-5)


def test_a_model_that_does_not_normalise_is_not_normalised(tmp_path: Path) -> None:
    path = make_tiny_embedder(tmp_path / "m", modules=("Transformer", "Pooling"))
    assert torch.allclose(load(path).embed([TEXTS[0]])[0], states(path, TEXTS[0]).mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "config"),
    [
        ("bert", {}),
        ("roberta", {"pad_token_id": 1}),
        ("distilbert", {"dim": 32, "n_layers": 2, "n_heads": 4}),
        ("qwen2", {}),
    ],
)
def test_a_batch_makes_the_vectors_that_each_text_makes_alone(
    model_type: str, config: dict[str, Any], tmp_path: Path
) -> None:
    loaded = load(make_tiny_embedder(tmp_path / "m", model_type=model_type, **config))
    for pooling in Pooling:
        settings = replace(loaded.settings, pooling=pooling)
        together = pooled_vectors(loaded.model, TEXTS, settings)
        alone = torch.cat([pooled_vectors(loaded.model, [text], settings) for text in TEXTS])
        assert cosine_similarity(together, alone).min() > 0.99999
        assert cosine_similarity(together[:1], together[1:2]) < 0.999, "different texts, different vectors"


def test_without_its_own_pooling_an_encoder_takes_the_mean_and_a_decoder_the_last_token(tmp_path: Path) -> None:
    encoder = load(make_tiny_embedder(tmp_path / "e", pooling=None))
    decoder = load(make_tiny_embedder(tmp_path / "d", pooling=None, model_type="qwen2"))
    assert (encoder.settings.pooling, decoder.settings.pooling) == (Pooling.MEAN, Pooling.LAST)
    assert encoder.settings.normalises


def test_its_context_is_the_least_of_what_is_known(bert: Path, tmp_path: Path) -> None:
    assert load(bert).context_length == 64, "sentence-transformers' max_seq_length"
    assert load(make_tiny_embedder(tmp_path / "a", pooling=None)).context_length == 128
    roberta = make_tiny_embedder(tmp_path / "b", pooling=None, model_type="roberta", pad_token_id=1)
    assert load(roberta).context_length == 126, "its positions count from behind the padding token"
    longest = [[7] * 126]
    assert load(roberta).embed(longest).isfinite().all()


def test_a_model_may_be_quantised(bert: Path) -> None:
    plain, quantised = load(bert), load(bert, quantisation=Quantisation.INT8)
    assert quantised.weight_format == "int8"
    assert cosine_similarity(plain.embed(TEXTS), quantised.embed(TEXTS)).min() > 0.999


def test_a_vector_is_shortened_only_if_the_model_was_trained_for_it(bert: Path, tmp_path: Path) -> None:
    plain = load(bert)
    assert (plain.shortens_to(32), plain.shortens_to(16), plain.shortens_to(33)) == (True, False, False)
    listed = load(make_tiny_embedder(tmp_path / "a", matryoshka_dimensions=[8, 16]))
    assert (listed.shortens_to(16), listed.shortens_to(12), listed.shortens_to(32)) == (True, False, True)
    trained = load(make_tiny_embedder(tmp_path / "b", is_matryoshka=True))
    assert (trained.shortens_to(12), trained.shortens_to(64)) == (True, False)


def test_which_folders_hold_embedding_models(bert: Path, tiny: Path, tmp_path: Path) -> None:
    assert embeds(bert)
    assert embeds(make_tiny_embedder(tmp_path / "m", pooling=None))
    assert not embeds(tiny)
    assert not embeds(tmp_path / "nowhere")
    for text in ("{", "[]", '{"architectures": []}', '{"architectures": [5]}', '{"architectures": null}'):
        (tmp_path / "config.json").write_text(text)
        assert not embeds(tmp_path)
    for name in ("GPT2LMHeadModel", "LlamaForCausalLM", "T5ForConditionalGeneration"):
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [name]}))
        assert not embeds(tmp_path)


def test_pooling_that_is_not_done_here_is_refused(tmp_path: Path) -> None:
    assert "another pooling" in refusal(make_tiny_embedder(tmp_path / "m", pooling="max_tokens"))


def test_modules_that_are_not_done_here_are_named(tmp_path: Path) -> None:
    path = make_tiny_embedder(tmp_path / "m", modules=("Transformer", "Pooling", "Dense", "Normalize"))
    assert "Transformer, Pooling, Dense, Normalize" in refusal(path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("modules.json", "{"),
        ("modules.json", "{}"),
        ("modules.json", "[5]"),
        ("modules.json", '[{"type": "x.Transformer", "path": "../.."}]'),
        ("1_Pooling/config.json", "[]"),
        ("1_Pooling/config.json", "{}"),
        ("1_Pooling/config.json", '{"pooling_mode": 5}'),
        ("sentence_bert_config.json", '{"max_seq_length": "long"}'),
        ("sentence_bert_config.json", '{"max_seq_length": -1}'),
        ("config_sentence_transformers.json", '{"default_prompt_name": "query"}'),
        ("config_sentence_transformers.json", "\x00"),
        ("config.json", '{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": "wide"}'),
        ("config.json", '{"model_type": "vit", "architectures": ["ViTModel"]}'),
    ],
)
def test_malformed_files(bert: Path, tmp_path: Path, file: str, text: str) -> None:
    path = copied(bert, tmp_path / "copy")
    (path / file).write_text(text)
    assert refusal(path).startswith("owl: ")


class Bench:
    """An engine whose vectors are made by hand: each is the text's length, and `gate` must be open."""

    def __init__(self, *, max_batch: int = 4, max_waiting: int = 3) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.began = threading.Event()
        self.results: dict[str, torch.Tensor | WorkerError] = {}
        self.changed = threading.Condition()
        self.engine = EmbeddingEngine(self.embed, self.take, max_batch=max_batch, max_waiting=max_waiting, name="bench")
        self.engine.start()

    def embed(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        self.batches.append([len(text) for text in texts])
        self.began.set()
        assert self.gate.wait(20)
        if any(text[0] == 13 for text in texts):
            raise MemoryError
        return torch.tensor([[float("nan") if text[0] == 14 else float(len(text))] for text in texts])

    def take(self, request_id: str, result: torch.Tensor | WorkerError) -> None:
        with self.changed:
            self.results[request_id] = result
            self.changed.notify()

    def result(self, request_id: str) -> torch.Tensor | WorkerError:
        with self.changed:
            assert self.changed.wait_for(lambda: request_id in self.results, 20)
        return self.results[request_id]

    def lengths(self, request_id: str) -> list[float]:
        result = self.result(request_id)
        assert isinstance(result, torch.Tensor)
        return [float(number) for number in result[:, 0]]


@pytest.fixture
def bench() -> Any:
    bench = Bench()
    yield bench
    bench.gate.set()
    assert bench.engine.close(20)


def texts(*lengths: int, first: int = 1) -> list[list[int]]:
    return [[first] * length for length in lengths]


def test_requests_share_batches_and_get_their_own_vectors_in_order(bench: Bench) -> None:
    bench.engine.submit("a", texts(5))
    assert bench.began.wait(20)
    bench.engine.submit("b", texts(3, 1, 2))
    bench.engine.submit("c", texts(9, 8))
    bench.gate.set()
    assert [bench.lengths(name) for name in "abc"] == [[5], [3, 1, 2], [9, 8]]
    assert bench.batches == [[5], [1, 2, 3, 8], [9]]
    assert bench.engine.n_requests == 0


def test_long_texts_go_in_smaller_batches(bench: Bench) -> None:
    bench.gate.set()
    bench.engine.submit("a", texts(3000, 2000, 1500, 5000))
    assert bench.lengths("a") == [3000, 2000, 1500, 5000]
    assert bench.batches == [[1500, 2000], [3000], [5000]]


def test_the_queue_is_bounded(bench: Bench) -> None:
    for name in "abc":
        bench.engine.submit(name, texts(1))
    with pytest.raises(WorkerError) as caught:
        bench.engine.submit("d", texts(1))
    assert caught.value.code is WorkerErrorCode.OVERLOADED


def test_a_cancelled_request_is_not_computed(bench: Bench) -> None:
    bench.engine.submit("a", texts(5))
    assert bench.began.wait(20)
    bench.engine.submit("b", texts(*[7] * 100))
    bench.engine.cancel("b")
    bench.engine.cancel("nobody")
    bench.engine.submit("c", texts(2))
    bench.gate.set()
    assert bench.lengths("c") == [2]
    assert bench.batches == [[5], [2]]
    assert "b" not in bench.results


def test_a_failure_ends_the_requests_of_its_batch_alone(bench: Bench) -> None:
    bench.gate.set()
    bench.engine.submit("a", texts(5, first=13))
    failed = bench.result("a")
    assert isinstance(failed, WorkerError)
    assert failed.code is WorkerErrorCode.OUT_OF_MEMORY
    bench.engine.submit("b", texts(4, first=14))
    broken = bench.result("b")
    assert isinstance(broken, WorkerError)
    assert "not finite" in broken.message
    bench.engine.submit("c", texts(4))
    assert bench.lengths("c") == [4]


def test_closing_ends_what_waits_with_an_error(bench: Bench) -> None:
    bench.engine.submit("a", texts(5))
    assert bench.began.wait(20)
    bench.engine.submit("b", texts(5))
    closing = threading.Thread(target=bench.engine.close, args=(20,))
    closing.start()
    bench.gate.set()
    result = bench.result("b")
    closing.join(20)
    assert isinstance(result, WorkerError)
    assert result.code is WorkerErrorCode.SHUTTING_DOWN
    with pytest.raises(WorkerError, match="shutting down"):
        bench.engine.submit("c", texts(1))
