"""Answers in a given format, over HTTP: response_format and vLLM's guided_* fields."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gpu_worker.live_worker import TOKEN, LiveWorker, live_worker

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
COLOUR = {
    "type": "object",
    "properties": {"name": {"enum": ["red", "green"]}, "share": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "share"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "colour", "strict": True, "schema": COLOUR}}


@pytest.fixture(scope="module")
def live(tiny: Path) -> Iterator[LiveWorker]:
    with live_worker({"tiny": tiny}) as live:
        yield live


@pytest.fixture
def client(live: LiveWorker) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=live.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120, trust_env=False
    ) as client:
        yield client


def chat(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "tiny", "messages": HELLO, "max_tokens": 150, **body})


def contents(reply: httpx.Response) -> list[str]:
    return [choice["message"]["content"] for choice in reply.raise_for_status().json()["choices"]]


def is_colour(text: str) -> bool:
    value = json.loads(text)
    return sorted(value) == ["name", "share"] and value["name"] in ("red", "green") and 0 <= value["share"] <= 99


def test_openais_client_gets_json_that_fits_the_schema_streamed_or_not(live: LiveWorker) -> None:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=TOKEN, max_retries=0, timeout=120) as sdk:
        ask: Any = {"model": "tiny", "messages": HELLO, "max_tokens": 150, "seed": 3, "response_format": FORMAT}
        whole = sdk.chat.completions.create(**ask)
        text = whole.choices[0].message.content or ""
        assert is_colour(text)
        assert whole.choices[0].finish_reason == "stop"
        chunks = sdk.chat.completions.create(**ask, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text


def test_each_of_several_choices_follows_the_schema_with_penalties_and_biases(client: httpx.Client) -> None:
    answers = contents(chat(client, response_format=FORMAT, n=3, seed=1, presence_penalty=1.5, logit_bias={"5": -100}))
    assert len(answers) == 3
    assert all(map(is_colour, answers))


def test_an_answer_cut_off_by_max_tokens_keeps_its_beginning(client: httpx.Client) -> None:
    choice = chat(client, response_format=FORMAT, max_tokens=3).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"].lstrip().startswith("{")


def test_a_stop_string_ends_an_answer_in_a_format_too(client: httpx.Client) -> None:
    choice = chat(client, guided_regex="(ab){6}", stop="ba").json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("a", "stop")


def test_json_object_begins_an_object(client: httpx.Client) -> None:
    [text] = contents(chat(client, response_format={"type": "json_object"}, logit_bias={}, max_tokens=20))
    assert text.lstrip().startswith("{")


def test_vllms_guided_fields_are_followed(client: httpx.Client) -> None:
    assert contents(chat(client, guided_choice=["yes, \n", 'n"o']))[0] in ("yes, \n", 'n"o')
    assert re.fullmatch("[0-9]{3}", contents(chat(client, guided_regex="[0-9]{3}"))[0])
    assert is_colour(contents(chat(client, guided_json=COLOUR))[0])
    assert is_colour(contents(chat(client, guided_json=json.dumps(COLOUR)))[0])
    assert contents(chat(client, guided_grammar='root ::= "a" "b"'))[0] == "ab"


def test_text_completions_take_formats_too(client: httpx.Client) -> None:
    body = {"model": "tiny", "prompt": ["one", "two"], "max_tokens": 150, "response_format": FORMAT}
    choices = client.post("/v1/completions", json=body).raise_for_status().json()["choices"]
    assert len(choices) == 2
    assert all(is_colour(choice["text"]) for choice in choices)


EMPTY = {"strict": False, "schema": {"type": "integer", "minimum": 3, "maximum": 1}}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "grammar"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
        "response_format.json_schema.name",
    ),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}, "response_format.json_schema.schema"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "wizard"}}}},
        "response_format",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"title": "x" * 200_000}}}},
        "response_format",
    ),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", **EMPTY}}}, "response_format"),
    ({"guided_json": "{"}, "guided_json"),
    ({"guided_json": {"title": "\ud800"}}, "guided_json"),
    ({"guided_regex": "(a"}, "guided_regex"),
    ({"guided_regex": ""}, "guided_regex"),
    ({"guided_regex": 3}, "guided_regex"),
    ({"guided_choice": []}, "guided_choice"),
    ({"guided_choice": ["a", ""]}, "guided_choice"),
    ({"guided_choice": ["a"] * 1001}, "guided_choice"),
    ({"guided_grammar": "root ::= foo"}, "guided_grammar"),
    ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_choice"),
    ({"structured_outputs": {"choice": ["a"]}}, "structured_outputs"),
    ({"guided_regex": "a", "ignore_eos": True}, "ignore_eos"),
    ({"guided_regex": "a", "min_tokens": 2}, "min_tokens"),
]


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_format_that_cannot_be_followed_is_refused_by_name(
    client: httpx.Client, body: dict[str, Any], param: str
) -> None:
    whole = {"model": "tiny", "messages": HELLO, "max_tokens": 9, **body}
    reply = client.post("/v1/chat/completions", content=json.dumps(whole))
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_strict_false_takes_a_schema_that_can_be_enforced_in_part(client: httpx.Client) -> None:
    schema = {"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "maxItems": 2, "uniqueItems": True}
    asked = {"name": "pair", "schema": schema}
    refused = chat(client, response_format={"type": "json_schema", "json_schema": asked})
    assert "uniqueItems" in refused.json()["error"]["message"]
    [text] = contents(chat(client, response_format={"type": "json_schema", "json_schema": {**asked, "strict": False}}))
    assert len(json.loads(text)) == 2


def test_an_answer_that_runs_into_a_dead_end_is_an_error_and_others_go_on(client: httpx.Client) -> None:
    dead = 'root ::= "a" never\nnever ::= "b" never2\nnever2 ::= never2'
    reply = chat(client, guided_grammar=dead)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "guided_grammar"
    assert contents(chat(client, guided_choice=["fine"])) == ["fine"]
