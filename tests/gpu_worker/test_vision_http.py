"""Chats with images: answered as transformers does, counted, reused where images are the same, refused in words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from gpu_worker.engine.context import Context
from gpu_worker.errors import WorkerError
from gpu_worker.modeling.loading import LoadedModel, LoadOptions, load_model
from gpu_worker.modeling.source import AdapterSpec, ModelRefused, ModelSpec
from gpu_worker.prompts.chat import Prompter
from gpu_worker.prompts.message import Message
from gpu_worker.protocol import WorkerErrorCode
from gpu_worker.server.models import ServingOptions
from gpu_worker.server.schema import parse_messages
from tests.gpu_worker.live_worker import LiveWorker, live_worker
from tests.gpu_worker.test_chat_http import events_of, streamed_text
from tests.gpu_worker.tiny_models import Shape, make_tiny_model
from tests.gpu_worker.tiny_vision import KINDS, asked, data_url, make_tiny_vision, picture

N_TOKENS = 24


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    at = tmp_path_factory.mktemp("models")
    return {kind: make_tiny_vision(at / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def live(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    blind = make_tiny_model(tmp_path_factory.mktemp("models") / "blind", shape=Shape(context=1024))
    adapters = (AdapterSpec("llava", "org/cat", "cat"),)
    options = ServingOptions(device="cpu", dtype="float32", adapters=adapters)
    with live_worker({**folders, "blind": blind}, options) as live:
        yield live


def chat(client: httpx.Client, kind: str, messages: list[dict[str, Any]], **body: Any) -> httpx.Response:
    body = {"max_tokens": N_TOKENS, "min_tokens": N_TOKENS, "temperature": 0, **body}
    return client.post("/v1/chat/completions", json={"model": kind, "messages": messages, **body})


def answer(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


def load(folder: Path) -> LoadedModel:
    return load_model(ModelSpec(str(folder), "m"), LoadOptions((torch.device("cpu"),), "float32"), lambda share: None)


def seen_by_transformers(folder: Path, prompt: str, images: list[Any]) -> tuple[str, int]:
    """The text of transformers' own greedy decoding, and the tokens of the prompt, by its processor's own words."""
    loaded = load(folder)
    assert loaded.image_processor is not None
    inputs = loaded.image_processor._processor(
        images=images, text=[prompt], return_tensors="pt", add_special_tokens=False
    )
    model: Any = AutoModelForImageTextToText.from_pretrained(folder)
    inputs = {name: value for name, value in inputs.items() if name not in ("rows", "cols")}
    output = model.generate(**inputs, max_new_tokens=N_TOKENS, min_new_tokens=N_TOKENS, do_sample=False)
    n_prompt = inputs["input_ids"].shape[1]
    return str(AutoTokenizer.from_pretrained(folder).decode(output[0, n_prompt:], skip_special_tokens=True)), n_prompt


def place(kind: str) -> str:
    return "<|vision_start|><|image_pad|><|vision_end|>" if kind.startswith("qwen") else "<image>"


@pytest.mark.parametrize("kind", KINDS)
def test_a_chat_with_two_images_is_answered_as_transformers_does(
    client: httpx.Client, folders: dict[str, Path], kind: str
) -> None:
    images = [picture(), picture(90, 30, turned=True)]
    reply = chat(client, kind, asked("what differs?", *images))
    prompt = f"<s>user: {place(kind)}{place(kind)}what differs?\nassistant: "
    expected, n_prompt = seen_by_transformers(folders[kind], prompt, images)
    assert answer(reply) == expected
    assert reply.json()["usage"]["prompt_tokens"] == n_prompt
    counted = client.post("/v1/tokenize", json={"model": kind, "messages": asked("what differs?", *images)}).json()
    assert counted["count"] == n_prompt


@pytest.mark.parametrize("kind", KINDS)
def test_answers_depend_on_the_image_and_what_is_kept_of_one_never_answers_for_another(
    client: httpx.Client, kind: str
) -> None:
    long = "x" * 150  # more than a block of the prefix store
    first, other = (asked(long, image) for image in (picture(), picture(turned=True)))
    answers = [answer(chat(client, kind, messages)) for messages in (first, other)]
    assert answers[0] != answers[1]
    again = chat(client, kind, first)
    assert answer(again) == answers[0]
    assert again.json()["usage"]["prompt_tokens_details"]["cached_tokens"] >= 64


@pytest.mark.parametrize("kind", ["idefics3", "qwen2_vl"])
def test_several_answers_and_chats_without_images_run_beside_each_other(client: httpx.Client, kind: str) -> None:
    words = [{"role": "user", "content": "hello there"}]
    alone = answer(chat(client, kind, words))
    several = chat(client, kind, asked("look", picture()), n=3)
    assert len({choice["message"]["content"] for choice in several.json()["choices"]}) == 1
    assert answer(chat(client, kind, [{"role": "user", "content": [{"type": "text", "text": "hello there"}]}])) == alone
    events = events_of(chat(client, kind, asked("look", picture()), stream=True).text)
    assert streamed_text(events) == several.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 60), (640, 20)])
def test_odd_shapes_are_seen(client: httpx.Client, kind: str, size: tuple[int, int]) -> None:
    assert answer(chat(client, kind, asked("look", picture(*size))))


def test_a_shape_that_the_model_cannot_take_is_refused_in_its_words(client: httpx.Client) -> None:
    reply = chat(client, "qwen2_vl", asked("look", picture(4000, 10)))
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["param"] == "messages[0].content[0].image_url.url"
    assert "cannot take an image of this shape" in error["message"]


@pytest.mark.parametrize("kind", ["llava", "qwen2_vl"])
def test_words_that_stand_for_images_are_only_words_when_people_write_them(client: httpx.Client, kind: str) -> None:
    trick = place(kind) * 3
    messages = asked(f"say {trick}", picture())
    reply = client.post("/v1/tokenize", json={"model": kind, "messages": messages}).json()
    plain = client.post("/v1/tokenize", json={"model": kind, "messages": asked("say ", picture())}).json()
    word = "<|image_pad|>" if kind == "qwen2_vl" else "<image>"
    alone = client.post("/v1/tokenize", json={"model": kind, "prompt": word, "add_special_tokens": False})
    (special,) = alone.json()["tokens"]
    assert reply["tokens"].count(special) == plain["tokens"].count(special) > 1
    assert answer(chat(client, kind, messages))


@pytest.mark.parametrize(
    ("messages", "param", "words"),
    [
        (asked("look", "https://example.org/cat.png"), "messages[0].content[0].image_url.url", "no URL is fetched"),
        (asked("look", data_url(b"<svg/>")), "messages[0].content[0].image_url.url", "no valid PNG"),
        (asked("look", *[picture()] * 9), "messages", "at most 8 images"),
        (
            [{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": data_url(picture())}}]}],
            "messages[0].content[0].type",
            "of a user image_url",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:", "detail": "high"}}]}],
            "messages[0].content[0].image_url.detail",
            "leave it out",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "data:"}]}],
            "messages[0].content[0].image_url",
            "expected an object with a url",
        ),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
            "messages[0].content[0].type",
            "only parts of type text and image_url",
        ),
    ],
)
def test_what_cannot_be_seen_is_refused_by_its_place(
    client: httpx.Client, messages: list[dict[str, Any]], param: str, words: str
) -> None:
    reply = chat(client, "llava", messages)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param
    assert words in reply.json()["error"]["message"]


def test_a_model_without_eyes_says_so(client: httpx.Client) -> None:
    reply = chat(client, "blind", asked("look", picture()))
    assert reply.status_code == 400
    assert "cannot see images" in reply.json()["error"]["message"]
    assert reply.json()["error"]["param"] == "messages[0].content[0].image_url.url"


def test_a_format_chosen_by_name_knows_no_images(client: httpx.Client) -> None:
    reply = chat(client, "llava", asked("look", picture()), prompt_template="one_shot")
    assert "know no images" in reply.json()["error"]["message"]


def test_the_site_is_told_which_models_see(live: LiveWorker) -> None:
    reports = {report.name: report.sees_images for report in live.worker.pool.reports()}
    assert reports == {**dict.fromkeys(KINDS, True), "blind": False, "cat": False}


def test_models_that_see_take_no_adapters(live: LiveWorker) -> None:
    assert "takes no adapters" in str(live.worker.pool.models["cat"].error)


def test_others_that_see_are_refused_by_their_kind(tmp_path: Path, folders: dict[str, Path]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "paligemma"}')
    with pytest.raises(ModelRefused, match="of models that see images only idefics3, llava"):
        load(tmp_path)


def test_a_model_that_has_lost_its_image_processor_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for file in folders["llava"].iterdir():
        if "processor" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelRefused, match="no image processor that can be loaded"):
        load(tmp_path)


def said(text: str, *urls: str) -> list[Message]:
    return parse_messages(asked(text, *urls))


def test_no_image_is_decoded_for_a_chat_that_cannot_be_read_anyway(folders: dict[str, Path]) -> None:
    loaded = load(folders["llava"])
    prompter = Prompter("m", loaded.tokenizer, Context.shared(40), None, loaded.image_processor)
    broken, good = data_url(b"<svg/>"), data_url(picture())  # a good one has 16 tokens
    with pytest.raises(WorkerError, match="no valid PNG"):
        prompter.chat(said("look", good, broken))
    for messages in (said("look", good, good, good, broken), said("x" * 100_000, broken)):
        with pytest.raises(WorkerError, match="model reads at most 40") as caught:
            prompter.chat(messages)
        assert caught.value.code is WorkerErrorCode.CONTEXT_LENGTH_EXCEEDED
    with pytest.raises(WorkerError, match="the last of several messages must be a text of the assistant"):
        prompter.chat(said("look", broken), continue_final_message=True)
    prompter.close()
