"""Items, options and events of responses, without anything around them."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.openai_api.models import ResponseState
from apps.openai_api.responses import options
from apps.openai_api.responses.assembly import Assembly
from apps.openai_api.responses.items import checked_items, prompt_of
from apps.openai_api.responses.request import refused_here, response_request
from apps.openai_api.responses.shapes import item_list
from apps.openai_api.schema import responses as schema
from apps.workers.errors import WorkerRefused

ID = UUID(int=7)


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def called(index: int, name: str = "", arguments: str = "") -> dict[str, Any]:
    call: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if name:
        call |= {"id": f"call_{index}", "type": "function"}
        call["function"]["name"] = name
    return chunk(tool_calls=[call])


def assembled(*chunks: dict[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    assembly = Assembly(ID)
    events = assembly.opening({"id": "resp"})
    for one in chunks:
        events += assembly.feed(one)
    closing, outcome = assembly.close()
    return [*events, *closing, assembly.terminal(outcome.state, {"id": "resp"})], outcome


def test_text_and_calls_of_one_answer_are_items_in_their_order() -> None:
    events, outcome = assembled(
        chunk(role="assistant", content=""),
        chunk(content="Let me "),
        chunk(content="look."),
        called(0, "weather"),
        called(0, arguments='{"city": '),
        called(0, arguments='"Ulm"}'),
        called(1, "time", "{}"),
        chunk("tool_calls"),
    )
    assert [item["type"] for item in outcome.output] == ["message", "function_call", "function_call"]
    assert [item.get("arguments") for item in outcome.output] == [None, '{"city": "Ulm"}', "{}"]
    assert {item["status"] for item in outcome.output} == {"completed"}
    assert outcome.state is ResponseState.COMPLETED
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in added] == [event["output_index"] for event in done] == [0, 1, 2]
    assert [event["item"]["id"] for event in added] == [item["id"] for item in outcome.output]
    assert events[-1]["type"] == "response.completed"


def test_thoughts_are_an_item_of_their_own() -> None:
    events, outcome = assembled(
        chunk(reasoning_content="Hm, "), chunk(reasoning_content="42."), chunk(content="42"), chunk("stop")
    )
    assert [item["type"] for item in outcome.output] == ["reasoning", "message"]
    assert outcome.output[0]["content"] == [{"type": "reasoning_text", "text": "Hm, 42."}]
    assert [event["delta"] for event in events if event["type"] == "response.reasoning_text.delta"] == ["Hm, ", "42."]


@pytest.mark.parametrize(
    ("finish_reason", "state", "reason", "status", "name"),
    [
        ("stop", "completed", "", "completed", "response.completed"),
        ("length", "incomplete", "max_output_tokens", "incomplete", "response.incomplete"),
        ("content_filter", "incomplete", "content_filter", "incomplete", "response.incomplete"),
        ("cancelled", "cancelled", "", "incomplete", "response.incomplete"),
    ],
)
def test_how_an_answer_ended_is_told(finish_reason: str, state: str, reason: str, status: str, name: str) -> None:
    events, outcome = assembled(chunk(content="x"), chunk(finish_reason))
    assert (str(outcome.state), outcome.incomplete_reason, outcome.output[0]["status"]) == (state, reason, status)
    assert events[-1]["type"] == name


def test_an_answer_without_text_is_an_empty_message() -> None:
    _, outcome = assembled(chunk(role="assistant", content=""), chunk("stop"))
    assert [item["content"][0]["text"] for item in outcome.output] == [""]


PIECES = st.lists(
    st.one_of(
        st.text(min_size=1).map(lambda text: chunk(content=text)),
        st.text(min_size=1).map(lambda text: chunk(reasoning_content=text)),
        st.integers(0, 3).map(lambda index: called(index, "f", "{}")),
    )
)


@given(PIECES)
def test_the_same_chunks_make_the_same_events_and_deltas_join_to_the_items(chunks: list[dict[str, Any]]) -> None:
    events, outcome = assembled(*chunks, chunk("stop"))
    assert assembled(*chunks, chunk("stop")) == (events, outcome)
    joined: dict[str, str] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            joined[event["item_id"]] = joined.get(event["item_id"], "") + event["delta"]
    for item in outcome.output:
        whole = item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]
        assert joined.get(item["id"], "") == whole
    assert len({item["id"] for item in outcome.output}) == len(outcome.output)


def test_items_become_the_messages_of_a_chat() -> None:
    items = checked_items(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look:"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Well."}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        ]
    )
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    prompt = prompt_of(items, instructions="You are kind.")
    assert prompt.messages == [
        {"role": "system", "content": "You are kind."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "Look:"}, image]},
        {"role": "assistant", "content": "Well.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
    ]
    assert prompt.origins == ["instructions", *(f"input[{index}]" for index in (0, 1, 2, 4, 7, 8))]


def test_half_of_a_call_is_left_out_of_what_comes_next() -> None:
    cut = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"ci', "status": "incomplete"}
    prompt = prompt_of(checked_items("And now?"), context=[cut])
    assert [message["role"] for message in prompt.messages] == ["user"]


@pytest.mark.parametrize(
    ("given_param", "param"),
    [
        ("messages[0].content", "instructions"),
        ("messages[1].content[0].type", "input[0].content[0].type"),
        ("messages[9].content", "input"),
        ("messages", "input"),
        ("max_completion_tokens", "max_output_tokens"),
        ("response_format.json_schema.name", "text.format.name"),
        ("response_format.type", "text.format.type"),
        ("tools[3].function.parameters", "tools[3].parameters"),
        ("temperature", "temperature"),
    ],
)
def test_a_workers_refusal_names_the_field_as_it_is_here(given_param: str, param: str) -> None:
    prompt = prompt_of(checked_items("Hi"), instructions="Be brief.")
    refusal = refused_here(WorkerRefused(reason=f"{given_param}: no", param=given_param), prompt)
    assert (refusal.param, refusal.details["reason"]) == (param, f"{param}: no")


def test_values_that_ask_for_nothing_are_taken() -> None:
    asks_nothing: dict[str, Any] = {
        "background": False,
        "context_management": [],
        "conversation": None,
        "include": [],
        "max_tool_calls": None,
        "metadata": {},
        "prompt": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "auto",
        "stream_options": {"include_obfuscation": False},
        "text": {"format": {"type": "text"}},
        "truncation": "disabled",
        "tools": [],
    }
    wanted = response_request({"model": "tiny", "input": "Hi"} | asks_nothing)
    assert wanted.options == {"response_format": {"type": "text"}, "tools": []}
    assert wanted.ignored_fields == ()


def test_every_field_of_openais_is_honoured_refused_or_told_to_be_ignored() -> None:
    from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

    hints = {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
    assert ResponseCreateParamsStreaming.__annotations__.keys() - hints <= options.KNOWN
    assert options.KNOWN.isdisjoint(hints)


def test_every_described_field_is_a_known_one() -> None:
    assert set(schema.REQUEST["properties"]) <= options.KNOWN


def test_pages_of_items_come_to_an_end_also_where_an_item_was_sent_again() -> None:
    items = [{"id": name} for name in "abac"]
    seen, after = [], None
    for _ in items:
        page = item_list(items, after=after, limit=1)
        after = page["last_id"]
        seen.append(after)
        if not page["has_more"]:
            break
    assert seen == ["a", "b", "c"]
