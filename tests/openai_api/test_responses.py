"""Responses as programs meet them: the official SDK, a real worker with a real tiny model, and the real jobs."""

import json
from typing import Any
from uuid import UUID

import httpx
import openai
import pytest

from tests.live import LiveSite, wait_until

pytestmark = pytest.mark.processes

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"enum": ["Ulm", "Bonn"]}}, "required": ["city"]},
}
ASK: Any = {"model": "tiny", "input": "Hi there", "max_output_tokens": 16, "temperature": 0}


def ended(sdk: openai.OpenAI, response_id: str) -> Any:
    def look() -> Any:
        found = sdk.responses.retrieve(response_id)
        return found if found.status not in ("queued", "in_progress") else None

    return wait_until(look, what=f"{response_id} to end", limit_s=60)


def test_a_response_is_the_chat_it_stands_for_and_is_kept(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(**ASK, metadata={"team": "blue"})
    chat = sdk.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Hi there"}], max_tokens=16, temperature=0
    )
    assert response.output_text == chat.choices[0].message.content
    assert (response.status, response.incomplete_details and response.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )
    assert response.usage is not None
    assert chat.usage is not None
    told = (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens)
    assert told == (chat.usage.prompt_tokens, 16, chat.usage.total_tokens)
    assert response.metadata == {"team": "blue"}

    assert sdk.responses.retrieve(response.id).to_dict() == response.to_dict()
    sdk.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(response.id)


def test_a_streamed_response_joins_to_the_whole_one_and_its_events_are_numbered(sdk: openai.OpenAI) -> None:
    whole = sdk.responses.create(**ASK)
    events: list[Any] = list(sdk.responses.create(**ASK, stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert set(kinds[4:-4]) == {"output_text.delta"}
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    assert len(kinds) > 10
    texts = ["".join(event.delta for event in events[4:-4]), events[-4].text, events[-1].response.output_text]
    assert texts == [whole.output_text] * 3
    assert len({event.item_id for event in events[3:-2]}) == 1
    assert events[-1].response.usage == whole.usage
    assert sdk.responses.retrieve(events[0].response.id).output_text == whole.output_text


def test_each_event_has_its_name_on_a_line_of_its_own(api_site: LiveSite, api_key: str) -> None:
    body = {**ASK, "max_output_tokens": 2, "stream": True}
    headers = {"Authorization": f"Bearer {api_key}", "X-Request-ID": "a-request-of-mine"}
    reply = httpx.post(f"{api_site.url}/v1/responses", json=body, headers=headers, trust_env=False, timeout=60)
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.headers["x-request-id"] == "a-request-of-mine"
    for block in reply.text.strip().split("\n\n"):
        name, data = block.split("\n")
        assert name.removeprefix("event: ") == json.loads(data.removeprefix("data: "))["type"]


def test_the_sdks_own_stream_helper_reads_it_to_the_end(sdk: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
    layout: Any = {"format": {"type": "json_schema", "name": "n", "strict": True, "schema": schema}}
    with sdk.responses.stream(model="tiny", input="Hi", text=layout, max_output_tokens=300) as stream:
        final = stream.get_final_response()
    assert final.status == "completed"
    assert list(json.loads(final.output_text)) == ["n"]


def test_a_response_continues_another_as_one_chat_of_both(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(**ASK, instructions="Be brief.")
    second = sdk.responses.create(**ASK | {"input": "And now?"}, previous_response_id=first.id)
    said: Any = [
        {"role": "user", "content": "Hi there"},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "And now?"},
    ]
    chat = sdk.chat.completions.create(model="tiny", messages=said, max_tokens=16, temperature=0)
    assert second.output_text == chat.choices[0].message.content
    assert second.usage is not None
    assert chat.usage is not None
    assert second.usage.input_tokens == chat.usage.prompt_tokens
    assert second.previous_response_id == first.id

    by_hand = sdk.responses.create(**ASK | {"input": [said[0], *first.output, said[2]]})
    assert by_hand.output_text == second.output_text


def test_what_a_response_answers_is_listed_page_by_page(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(**ASK)
    second = sdk.responses.create(**ASK | {"input": "And now?"}, previous_response_id=first.id)
    items: list[Any] = list(sdk.responses.input_items.list(second.id, order="asc", limit=2))
    assert [(item.role, item.content[0].text) for item in items] == [
        ("user", "Hi there"),
        ("assistant", first.output_text),
        ("user", "And now?"),
    ]
    newest_first = sdk.responses.input_items.list(second.id, limit=1)
    assert newest_first.data[0].id == items[2].id
    with pytest.raises(openai.NotFoundError):
        sdk.responses.input_items.list(second.id, after="msg_of_another")


def test_the_conversation_of_a_deleted_response_is_not_continued_in_part(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(**ASK)
    second = sdk.responses.create(**ASK, previous_response_id=first.id)
    sdk.responses.delete(first.id)
    for previous in (first.id, second.id):
        with pytest.raises(openai.NotFoundError) as gone:
            sdk.responses.create(**ASK, previous_response_id=previous)
        assert (gone.value.param, gone.value.code) == ("previous_response_id", "previous_response_not_found")


def test_functions_are_called_answered_and_streamed(sdk: openai.OpenAI) -> None:
    ask: Any = {"model": "tiny", "input": "Hi", "max_output_tokens": 300, "temperature": 0, "tools": [WEATHER]}
    ask["tool_choice"] = {"type": "function", "name": "weather"}
    response = sdk.responses.create(**ask)
    [call] = [item for item in response.output if item.type == "function_call"]
    assert call.name == "weather"
    assert json.loads(call.arguments)["city"] in ("Ulm", "Bonn")

    events: list[Any] = list(sdk.responses.create(**ask, stream=True))
    of_call = [event for event in events if "function_call_arguments" in event.type]
    assert "".join(event.delta for event in of_call[:-1]) == of_call[-1].arguments == call.arguments
    added = next(event for event in events if event.type == "response.output_item.added")
    assert (added.item.name, added.item.arguments, added.item.status) == ("weather", "", "in_progress")

    told: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    answer = sdk.responses.create(
        **{**ask, "input": told, "tool_choice": "none", "max_output_tokens": 4}, previous_response_id=response.id
    )
    said: Any = [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": "weather", "arguments": call.arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": call.call_id, "content": "sunny"},
    ]
    chat = sdk.chat.completions.create(model="tiny", messages=said, max_tokens=4, temperature=0)
    assert answer.output_text == chat.choices[0].message.content


def test_log_probabilities_are_told_when_they_are_asked_for(sdk: openai.OpenAI) -> None:
    ask: Any = {**ASK, "max_output_tokens": 4, "top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    response = sdk.responses.create(**ask)
    [message] = response.output
    assert message.type == "message"
    [part] = message.content
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert "".join(entry.token for entry in part.logprobs) == part.text
    assert all(len(entry.top_logprobs) == 2 for entry in part.logprobs)
    plain: Any = sdk.responses.create(**ASK)
    assert plain.output[0].content[0].logprobs == []


def test_one_that_is_not_to_be_kept_is_not(sdk: openai.OpenAI, api_site: LiveSite) -> None:
    before = api_site.query("SELECT count(*) FROM openai_api_storedresponse")
    whole = sdk.responses.create(**ASK, store=False)
    streamed: list[Any] = list(sdk.responses.create(**ASK, store=False, stream=True))
    assert whole.output_text == streamed[-1].response.output_text
    assert streamed[-1].response.completed_at is None or whole.status == "completed"
    for response_id in (whole.id, streamed[0].response.id):
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(response_id)
    assert api_site.query("SELECT count(*) FROM openai_api_storedresponse") == before


def test_each_response_is_in_the_ledger_with_what_it_used(sdk: openai.OpenAI, api_site: LiveSite) -> None:
    def used(request_id: str) -> list[tuple[object, ...]]:
        statement = "SELECT endpoint, state, prompt_tokens, completion_tokens, is_estimated FROM accounts_ledgerentry"
        return api_site.query(f"{statement} WHERE request_id = %s", request_id)

    for stream in (False, True):
        request_id = f"metered-response-{stream}"
        raw = sdk.responses.with_raw_response.create(**ASK, stream=stream, extra_headers={"X-Request-ID": request_id})
        parsed: Any = raw.parse()
        response = list(parsed)[-1].response if stream else parsed
        n_input, n_output = response.usage.input_tokens, response.usage.output_tokens
        assert used(request_id) == [("/v1/responses", "complete", n_input, n_output, False)]


def test_a_background_response_is_asked_for_until_it_has_ended(sdk: openai.OpenAI, api_site: LiveSite) -> None:
    response = sdk.responses.create(**ASK, background=True)
    assert (response.status, response.background) == ("queued", True)
    done = ended(sdk, response.id)
    assert done.output_text == sdk.responses.create(**ASK).output_text
    assert done.usage.output_tokens == 16
    statement = "SELECT state, completion_tokens FROM accounts_ledgerentry WHERE request_id = %s"
    assert api_site.query(statement, response.id) == [("complete", 16)]
    continued = sdk.responses.create(**ASK, previous_response_id=response.id, background=True)
    assert ended(sdk, continued.id).usage.input_tokens > done.usage.input_tokens


def test_a_background_response_is_cancelled_and_costs_what_was_written(sdk: openai.OpenAI, api_site: LiveSite) -> None:
    response = sdk.responses.create(**ASK | {"max_output_tokens": 1900}, background=True)
    wait_until(lambda: sdk.responses.retrieve(response.id).status == "in_progress", what="it to begin")
    cancelled = sdk.responses.cancel(response.id)
    assert cancelled.status == "cancelled"
    assert sdk.responses.cancel(response.id).status == "cancelled"
    statement = "SELECT state, completion_tokens FROM accounts_ledgerentry WHERE request_id = %s"
    [(state, n_tokens)] = wait_until(lambda: api_site.query(statement, response.id), what="it to be settled")
    assert state == "stopped"
    assert isinstance(n_tokens, int)
    assert n_tokens < 1900


def test_only_background_responses_are_cancelled(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(**ASK)
    with pytest.raises(openai.BadRequestError, match="only responses with 'background': true can be cancelled"):
        sdk.responses.cancel(response.id)


def test_a_background_stream_is_taken_up_again_at_any_event(sdk: openai.OpenAI) -> None:
    events: list[Any] = list(sdk.responses.create(**ASK, background=True, stream=True))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "queued", "in_progress", "output_item.added"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response_id = events[0].response.id

    for after in (0, 7, len(events) - 2):
        again: list[Any] = list(sdk.responses.retrieve(response_id, stream=True, starting_after=after))
        assert [event.to_dict() for event in again] == [event.to_dict() for event in events[after + 1 :]]
    with sdk.responses.stream(response_id=response_id, starting_after=3) as stream:
        assert [event.sequence_number for event in stream] == list(range(4, len(events)))


def test_a_stream_that_broke_is_read_on_while_it_is_written(sdk: openai.OpenAI) -> None:
    ask = ASK | {"max_output_tokens": 400}
    seen: list[Any] = []
    with sdk.responses.create(**ask, background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    rest: list[Any] = list(
        sdk.responses.retrieve(seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number)
    )
    assert [event.sequence_number for event in seen + rest] == list(range(len(seen) + len(rest)))
    text = "".join(event.delta for event in seen + rest if event.type == "response.output_text.delta")
    assert text == rest[-1].response.output_text
    assert rest[-1].response.usage.output_tokens == 400


def test_only_background_responses_are_streamed_again(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(**ASK)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.retrieve(response.id, stream=True)
    assert refused.value.param == "stream"


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"temperature": 9}, "temperature", "invalid_request"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_request"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type", "unsupported_parameter"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name", "invalid_request"),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "unsupported_parameter"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_parameter"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name", "invalid_request"),
        ({"tools": [WEATHER], "tool_choice": {"type": "mcp"}}, "tool_choice.type", "unsupported_parameter"),
        ({"tool_choice": "sometimes", "tools": [WEATHER]}, "tool_choice", "invalid_request"),
        ({"include": ["web_search_call.results"]}, "include[0]", "unsupported_parameter"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort", "unsupported_parameter"),
        ({"truncation": "auto"}, "truncation", "unsupported_parameter"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_parameter"),
        ({"service_tier": "flex"}, "service_tier", "unsupported_parameter"),
        (
            {"stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            "unsupported_parameter",
        ),
        ({"background": True, "store": False}, "background", "invalid_value"),
        ({"store": "yes"}, "store", "invalid_value"),
        ({"metadata": {"a": 1}}, "metadata", "invalid_value"),
        ({"previous_response_id": 7}, "previous_response_id", "invalid_value"),
        ({"instructions": ["x"]}, "instructions", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role", "invalid_value"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type", "unsupported_parameter"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].type",
            "unsupported_parameter",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}]},
            "model",
            "unsupported_model",
        ),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments", "invalid_value"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}]},
            "input[0]",
            "invalid_request",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_name_it_has_here(
    api_site: LiveSite, api_key: str, changes: dict[str, Any], param: str, code: str
) -> None:
    headers = {"Authorization": f"Bearer {api_key}"}
    body = {**ASK, "instructions": "Be brief.", **changes}
    for stream in (False, True):
        reply = httpx.post(
            f"{api_site.url}/v1/responses", json=body | {"stream": stream}, headers=headers, trust_env=False
        )
        assert reply.status_code == 400, reply.text
        error = reply.json()["error"]
        assert error["param"].startswith(param), error
        assert error["code"] == code, error
        assert "messages[" not in error["message"]


def test_a_background_response_that_its_worker_refuses_fails_with_the_reason(sdk: openai.OpenAI) -> None:
    done = ended(sdk, sdk.responses.create(**ASK | {"temperature": 9}, background=True).id)
    assert (done.status, done.error.code, done.usage) == ("failed", "invalid_prompt", None)
    assert "temperature" in done.error.message


def test_fields_that_nobody_knows_are_named(api_site: LiveSite, api_key: str) -> None:
    body = {**ASK, "max_output_tokens": 1, "frobnicate": 1, "prompt_cache_key": "k"}
    headers = {"Authorization": f"Bearer {api_key}"}
    reply = httpx.post(f"{api_site.url}/v1/responses", json=body, headers=headers, trust_env=False, timeout=60)
    assert reply.status_code == 200
    assert reply.headers["x-fastchat-ignored-fields"] == "frobnicate, prompt_cache_key"


def test_ids_are_those_of_a_response_or_none(sdk: openai.OpenAI) -> None:
    for nonsense in ("resp_", "resp_0", "file-" + "0" * 32, "resp_" + UUID(int=0).hex, "x" * 500, "resp_%00"):
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(nonsense)
