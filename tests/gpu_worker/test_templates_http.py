"""Prompt formats and rendered prompts over HTTP: chosen by name, seen as text, and acting on the answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gpu_worker.prompts.conversation import find_template, templates
from tests.gpu_worker.live_worker import LiveWorker, live_worker
from tests.gpu_worker.tiny_models import make_tiny_model

HELLO = [{"role": "user", "content": "Hello, who are you?"}]


@pytest.fixture(scope="module")
def live(tiny: Path, templateless: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveWorker]:
    folder = tmp_path_factory.mktemp("models")
    evil = make_tiny_model(folder / "evil", chat_template="{% set n = 10 %}{{ 'a'.center(n ** 11) }}")
    models = {"tiny": tiny, "templateless": templateless, "chosen": templateless, "evil": evil, "saved": evil}
    with live_worker(models, templates={"chosen": "zero_shot", "saved": "zero_shot"}) as live:
        yield live


def tokenize(client: httpx.Client, model: str = "tiny", **body: Any) -> httpx.Response:
    return client.post("/v1/tokenize", json={"model": model, **body})


def chat(client: httpx.Client, model: str, **body: Any) -> httpx.Response:
    body = {"model": model, "messages": HELLO, "max_tokens": 40, "temperature": 0, **body}
    return client.post("/v1/chat/completions", json=body)


def answer(reply: httpx.Response) -> tuple[str, str]:
    choice = reply.json()["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def message(reply: httpx.Response, param: str) -> str:
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (400, param)
    return str(error["message"])


def test_a_rendered_prompt_is_the_text_of_its_tokens(client: httpx.Client) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi </s> there"}]
    reply = tokenize(client, messages=turns).json()
    assert reply["rendered"] == "<s>system: Be brief.\nuser: Hi </s> there\nassistant: "
    assert reply["count"] == len(reply["tokens"])
    assert reply["tokens"].count(2) == 0


def test_the_generation_prompt_can_be_left_out(client: httpx.Client) -> None:
    reply = tokenize(client, messages=HELLO, add_generation_prompt=False).json()
    assert reply["rendered"] == "<s>user: Hello, who are you?\n"
    zero_shot = tokenize(client, messages=HELLO, add_generation_prompt=False, prompt_template="zero_shot").json()
    assert zero_shot["rendered"] == "\n### Human: Hello, who are you?\n### "


def test_plain_text_has_no_rendering(client: httpx.Client) -> None:
    reply = tokenize(client, prompt="Hello", add_special_tokens=False).json()
    assert "rendered" not in reply
    assert message(tokenize(client, prompt="Hello", add_generation_prompt=True), "add_generation_prompt")
    assert message(tokenize(client, prompt="Hello", prompt_template="zephyr"), "prompt_template")
    assert message(tokenize(client, messages=HELLO, add_special_tokens=True), "add_special_tokens")
    assert message(tokenize(client, messages=HELLO, add_generation_prompt="yes"), "add_generation_prompt")


def test_a_model_without_a_chat_template_says_how_to_choose_one(client: httpx.Client) -> None:
    said = message(chat(client, "templateless"), "messages")
    assert "--template" in said
    assert "prompt_template" in said


def test_a_format_is_chosen_by_the_operator_or_by_the_request(client: httpx.Client) -> None:
    by_operator = tokenize(client, "chosen", messages=HELLO).json()
    by_request = tokenize(client, "templateless", messages=HELLO, prompt_template="zero_shot").json()
    assert by_operator == by_request
    assert by_operator["rendered"] == "\n### Human: Hello, who are you?\n### Assistant:"
    assert tokenize(client, "chosen", messages=HELLO, prompt_template="alpaca").json()["rendered"] == (
        "\n\n### Instruction: Hello, who are you?\n\n### Response:"
    ), "the request's word is the last"
    answered = [answer(chat(client, "chosen")), answer(chat(client, "templateless", prompt_template="zero_shot"))]
    assert answered[0] == answered[1]
    assert chat(client, "chosen").json()["usage"]["prompt_tokens"] == by_operator["count"]


def test_an_unknown_format_is_refused_with_what_is_near(client: httpx.Client) -> None:
    assert "vicuna_v1.1" in message(chat(client, "tiny", prompt_template="vicuna"), "prompt_template")
    assert message(chat(client, "tiny", prompt_template=5), "prompt_template")
    assert message(chat(client, "tiny", prompt_template=""), "prompt_template")


def test_what_ends_a_turn_in_a_format_ends_the_answer(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, reason = answer(chat(client, "templateless", prompt_template="zero_shot"))
    assert reason == "length"
    stop = whole[10:14]
    token = tokenize(client, "templateless", prompt="a").json()["tokens"][0]
    plain = find_template("zero_shot")
    monkeypatch.setitem(templates(), "stops", replace(plain, stop=("no such text", stop)))
    monkeypatch.setitem(templates(), "ends", replace(plain, stop=(), stop_token_ids=(60_000, token)))
    four = ["no 1", "no 2", "no 3", "no 4"]
    stopped = answer(chat(client, "templateless", prompt_template="stops", stop=four))
    assert stopped == (whole[: whole.index(stop)], "stop")
    only_a = {"logit_bias": {str(token): 100}, "max_tokens": 5}
    assert answer(chat(client, "templateless", prompt_template="zero_shot", **only_a)) == ("aaaaa", "length")
    assert answer(chat(client, "templateless", prompt_template="ends", **only_a)) == ("", "stop")


def test_a_request_itself_has_at_most_four_stops(client: httpx.Client) -> None:
    assert "at most 4" in message(chat(client, "tiny", stop=["1", "2", "3", "4", "5"]), "stop")


def test_a_hostile_chat_template_keeps_its_model_away_unless_a_format_replaces_it(client: httpx.Client) -> None:
    refused = chat(client, "evil")
    assert refused.status_code == 404
    assert "evil: its chat template was stopped" in refused.json()["error"]["message"]
    assert answer(chat(client, "saved"))[1] == "length"
