"""What providers are sent and how their answers are read: pure functions of JSON.

Shapes of Anthropic's side follow its documentation: "Messages API", "Streaming messages", "Tool use", "Vision"
(https://docs.claude.com/en/api/messages, /en/docs/build-with-claude/streaming).
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.openai_api import known_fields
from apps.workers.call import WorkerPath
from apps.workers.errors import WorkerRefused
from apps.workers.providers import event_stream
from apps.workers.providers.chat_completions import ChatCompletions
from apps.workers.providers.event_stream import EventStream
from apps.workers.providers.kinds import KINDS
from apps.workers.providers.messages import Messages
from apps.workers.providers.options import ASKS_FOR_NOTHING, MAKES_A_PROMPT, OF_THE_SITE
from apps.workers.sse import MAX_EVENT_BYTES, EventTooLarge
from apps.workers.target import Upstream

CHAT = WorkerPath.CHAT_COMPLETIONS
HI = {"model": "ours", "messages": [{"role": "user", "content": "Hi"}]}
PNG = "data:image/png;base64,iVBORw0KGgo="
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it.", "parameters": {"type": "object", "properties": {}}},
}


def asked(kind: str, path: WorkerPath = CHAT, **options: Any) -> dict[str, Any]:
    language = Messages if kind == "anthropic" else ChatCompletions
    wanted = (HI if path is CHAT else {"model": "ours"}) | options
    return language(KINDS[kind], path, "ours").body(wanted, Upstream(kind, "theirs"))


def refusal(kind: str, path: WorkerPath = CHAT, **options: Any) -> WorkerRefused:
    with pytest.raises(WorkerRefused) as refused:
        asked(kind, path, **options)
    return refused.value


# --- Options ----------------------------------------------------------------------------------------------------------


def test_every_option_that_the_api_knows_is_judged() -> None:
    known = known_fields.CHAT | known_fields.COMPLETION | known_fields.EMBEDDING
    harmless = {"chat_template", "chat_template_kwargs", "continue_final_message", "documents", "mm_processor_kwargs"}
    assert known - harmless <= ASKS_FOR_NOTHING.keys() | OF_THE_SITE | MAKES_A_PROMPT
    for kind in KINDS.values():
        for takes in kind.takes.values():
            assert takes <= ASKS_FOR_NOTHING.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_does_not_take_is_refused_by_name_and_what_asks_for_nothing_is_left_out(kind: str) -> None:
    odd: dict[str, Any] = {"logits_processors": ["x"], "min_p": 0.3, "guided_regex": "a+", "store": True}
    for name in odd.keys() - KINDS[kind].takes[CHAT]:
        one: dict[str, Any] = {name: odd[name]}
        refused = refusal(kind, **one)
        assert (refused.worker_code, refused.param) == ("unsupported_parameter", name)
        assert name in refused.message
    body = asked(kind, n=1, logit_bias={}, store=False, presence_penalty=0, guided_json=None, unheard_of=3)
    assert {"store", "guided_json", "unheard_of"}.isdisjoint(body)


def test_true_is_not_one() -> None:
    assert refusal("anthropic", presence_penalty=True).param == "presence_penalty"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_between_program_site_and_worker_goes_to_no_provider(kind: str) -> None:
    private: dict[str, Any] = {"user": "alice@example.org", "safety_identifier": "alice", "priority": 5}
    private |= {"generation_id": "g"}
    body = asked(kind, **private, metadata={"a": "b"})
    assert not private.keys() & body.keys()
    assert "alice" not in str(body)
    assert body["model"] == "theirs"


def test_a_prompt_format_of_ours_cannot_be_honoured_elsewhere() -> None:
    assert refusal("openai", prompt_template="vicuna_v1.1").param == "prompt_template"


@pytest.mark.parametrize(("kind", "name"), [("openai", "max_completion_tokens"), ("mistral", "max_tokens")])
def test_the_longest_answer_has_the_name_that_the_provider_knows(kind: str, name: str) -> None:
    for body in (asked(kind, max_tokens=7), asked(kind, max_tokens=9, max_completion_tokens=7)):
        assert {key: value for key, value in body.items() if "max" in key} == {name: 7}
    assert refusal(kind, max_tokens="many").param == "max_tokens"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:text/html,x"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {}}, "image_url.url"),
        ({"type": "video_url", "video_url": {"url": "http://10.0.0.1/"}}, "type"),
        ({"type": "file", "file": {"file_id": "file-of-somebody"}}, "type"),
        ({"image_url": {"url": "http://10.0.0.1/"}}, "type"),
        ({"type": []}, "type"),
    ],
)
def test_nothing_in_a_message_makes_a_provider_fetch_an_address(kind: str, part: dict[str, Any], param: str) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}, part]}]
    assert refusal(kind, messages=messages).param == f"messages[0].content[1].{param}"


def test_a_picture_itself_is_passed_on_and_a_hidden_address_beside_it_is_not() -> None:
    picture: dict[str, Any] = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
    messages = [{"role": "user", "content": [picture]}]
    assert asked("vllm", messages=messages)["messages"] == messages
    hidden = [{"role": "user", "content": [picture | {"video_url": {"url": "http://10.0.0.1/"}}]}]
    assert refusal("vllm", messages=hidden).param == "messages[0].content[0].video_url"
    assert asked("vllm", messages="Hi")["messages"] == "Hi", "shapes are the provider's to judge"


def test_options_have_the_names_of_their_vendor_and_usage_is_asked_for_where_it_may_be() -> None:
    mistral = asked("mistral", seed=3, stream=True, stream_options={"include_usage": False})
    assert (mistral["random_seed"], "seed" in mistral, "stream_options" in mistral) == (3, False, False)
    assert asked("vllm", stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in asked("vllm")


def test_a_door_that_a_provider_has_not_is_refused() -> None:
    for kind, path in (("groq", WorkerPath.EMBEDDINGS), ("anthropic", WorkerPath.COMPLETIONS)):
        assert str(path) in refusal(kind, path, prompt="Hi").message
    assert "/v1/tokenize" in refusal("vllm", WorkerPath.TOKENIZE, prompt="Hi").message
    assert asked("vllm", WorkerPath.EMBEDDINGS, input="Hi") == {"model": "theirs", "input": "Hi"}


# --- OpenAI's language as others speak it -----------------------------------------------------------------------------


def chunks(*told: dict[str, Any]) -> list[dict[str, Any]]:
    reader = ChatCompletions(KINDS["other"], CHAT, "ours").reader()
    read = [chunk for one in told for chunk in reader.read(one)]
    assert reader.is_finished
    return read + reader.end()


def piece(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "theirs", "choices": [choice], **more}


def test_usage_comes_once_and_last_wherever_the_provider_tells_it() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    in_the_last = chunks(piece("a"), piece("b", "stop", usage=usage))
    in_each = chunks(piece("a", usage=usage | {"total_tokens": 4}), piece("b", "stop", usage=usage))
    apart = chunks(piece("a"), piece("b", "stop"), {"id": "x", "choices": [], "usage": usage})
    for read in (in_the_last, in_each, apart):
        assert [chunk.get("usage") for chunk in read] == [None, None, usage]
        assert {chunk["model"] for chunk in read} == {"ours"}
        assert read[-1]["choices"] == []


MOST = 2**31 - 1


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2}, {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        ({"prompt_tokens": 3.0, "completion_tokens": None}, {"prompt_tokens": 3, "total_tokens": 3}),
        ({"prompt_tokens": 3, "completion_tokens": -2}, {"prompt_tokens": 3, "total_tokens": 3}),
        ({"total_tokens": -7}, None),
        ({"total_tokens": 10**30}, {"prompt_tokens": 0, "total_tokens": MOST}),
        ({"prompt_tokens": MOST, "completion_tokens": MOST}, {
            "prompt_tokens": MOST, "completion_tokens": MOST, "total_tokens": MOST,
        }),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 9}, {
            "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 9,
        }),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2, "odd": "x"}}, {
            "prompt_tokens": 3, "total_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2},
        }),
        ({"prompt_tokens": True, "completion_tokens": "2", "total_tokens": [1]}, None),
        ([3], None),
        ("5 tokens", None),
    ],
)  # fmt: skip
def test_usage_becomes_numbers_that_can_be_added_up_or_counts_as_untold(told: object, usage: object) -> None:
    language = ChatCompletions(KINDS["other"], CHAT, "ours")
    assert language.whole({"choices": [], "usage": told})["usage"] == usage
    reader = language.reader()
    reader.read({"choices": [], "usage": told})
    assert [chunk["usage"] for chunk in reader.end()] == ([] if usage is None else [usage])


@pytest.mark.parametrize(
    ("told", "n_tokens"),
    [
        ({"input_tokens": 3, "output_tokens": 2}, 5),
        ({"input_tokens": 10**30, "output_tokens": 10**30}, MOST),
        ({"input_tokens": "many", "output_tokens": -2}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_of_anthropics_too(told: object, n_tokens: int | None) -> None:
    answer = {"id": "m", "content": [], "stop_reason": "end_turn", "usage": told}
    usage = Messages(KINDS["anthropic"], CHAT, "ours").whole(answer)["usage"]
    assert (usage and usage["total_tokens"]) == n_tokens


def test_what_is_only_the_vendors_is_left_out() -> None:
    azure = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    groq = piece("a", "stop", x_groq={"id": "r"}, usage=None)
    groq["choices"][0]["content_filter_results"] = {}
    read = chunks(azure, groq)
    assert len(read) == 1
    assert "x_groq" not in read[0]
    assert "content_filter_results" not in read[0]["choices"][0]


def test_what_gemini_wants_back_with_a_call_goes_through_in_both_directions() -> None:
    """Source: Google, "Thought signatures": without them Gemini 3 refuses the next turn."""
    signed = {"google": {"thought_signature": "abc"}}
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    told = piece("", "tool_calls")
    told["choices"][0]["delta"] = {"tool_calls": [call | {"extra_content": signed}]}
    [read] = chunks(told)
    assert read["choices"][0]["delta"]["tool_calls"][0]["extra_content"] == signed

    turn = {"role": "assistant", "content": None, "tool_calls": [call | {"extra_content": signed}]}
    messages = [HI["messages"][0], turn, {"role": "tool", "tool_call_id": "c", "content": "1"}]
    assert asked("gemini", messages=messages)["messages"] == messages


def whole_choice(**choice: Any) -> Any:
    answer = {"choices": [{"finish_reason": "stop", **choice}]}
    return ChatCompletions(KINDS["mistral"], CHAT, "ours").whole(answer)["choices"][0]


def test_content_in_parts_as_mistral_sends_it_is_text_and_thoughts() -> None:
    """Source: Mistral, "Reasoning", the example of an answer; `ReferenceChunk` of the chat completion API."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm. "}, {"type": "text", "text": "Yes."}]},
        {"type": "text", "text": "It is "},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "so."},
    ]
    message = whole_choice(message={"role": "assistant", "content": parts})["message"]
    assert message == {"role": "assistant", "content": "It is so.", "reasoning_content": "Hm. Yes."}

    told = [{"delta": {"content": [part]}, "index": 0} for part in parts]
    read = chunks(*({"choices": [choice]} for choice in told), piece("", "stop"))
    deltas = [chunk["choices"][0]["delta"] for chunk in read]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "Hm. Yes."
    assert "".join(delta["content"] or "" for delta in deltas) == "It is so."


def test_thoughts_under_another_name_and_arguments_as_an_object_are_read() -> None:
    """Source: Groq, "Reasoning"; Mistral, `FunctionCall`: arguments are an object or a text."""
    assert whole_choice(message={"content": "Hi", "reasoning": "Hm."})["message"]["reasoning_content"] == "Hm."
    call = {"id": "c", "function": {"name": "weather", "arguments": {"in": "Rome"}}}
    [read] = whole_choice(message={"content": None, "tool_calls": [call]})["message"]["tool_calls"]
    assert read["function"] == {"name": "weather", "arguments": '{"in": "Rome"}'}
    [chunk] = chunks({"choices": [{"delta": {"tool_calls": [call, call]}, "finish_reason": "tool_calls"}]})
    assert [call["index"] for call in chunk["choices"][0]["delta"]["tool_calls"]] == [0, 1]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("", None),
        (None, None),
        ("model_length", "length"),
        ("a_reason_of_many_words_and_more", "stop"),
        ("stop", "stop"),
    ],
)
def test_why_an_answer_ended_has_a_name_that_can_be_kept(told: object, reason: object) -> None:
    assert whole_choice(message={"content": ""}, finish_reason=told)["finish_reason"] == reason


ODD_MESSAGES: list[Any] = [
    3,
    ["x"],
    {"content": 3},
    {"content": {"text": "x"}},
    {"content": ["x"]},
    {"content": [{"type": "image_url", "image_url": {"url": "x"}}]},
    {"content": [{"type": "text", "text": None}]},
    {"content": [{"type": []}]},
    {"content": [{"type": "thinking", "thinking": 3}]},
    {"role": ["assistant"]},
    {"reasoning_content": [1]},
    {"refusal": {}},
    {"tool_calls": {"id": "x"}},
    {"tool_calls": ["x"]},
    {"tool_calls": [{"index": "first", "function": {"name": "f"}}]},
    {"tool_calls": [{"id": 3}]},
    {"tool_calls": [{"function": "f"}]},
    {"tool_calls": [{"function": {"name": ["f"]}}]},
    {"tool_calls": [{"function": {"name": "f", "arguments": 3}}]},
]
ODD_CHOICES: list[Any] = [
    "x",
    None,
    *({"delta": message} for message in ODD_MESSAGES),
    {"delta": {}, "index": "0"},
    {"delta": {}, "index": -1},
    {"delta": {}, "index": True},
    {"delta": {}, "finish_reason": ["stop"]},
    {"delta": {}, "logprobs": [1]},
    {"delta": {}, "logprobs": {"content": "x"}},
    {"delta": {}, "logprobs": {"content": [3]}},
    {"delta": {}, "logprobs": {"content": [{"token": 3}]}},
    {"delta": {}, "logprobs": {"content": [{"token": "x", "logprob": "y"}]}},
    {"delta": {}, "logprobs": {"content": [{"token": "x", "top_logprobs": ["y"]}]}},
    {"text": ["x"]},
]


@pytest.mark.parametrize("choice", ODD_CHOICES, ids=str)
def test_a_choice_of_an_odd_type_is_refused_and_told_by_its_place(choice: Any) -> None:
    language = ChatCompletions(KINDS["other"], CHAT, "ours")
    with pytest.raises(ValueError, match=r"is (no|neither)"):
        language.reader().read({"choices": [choice]})
    if isinstance(choice, dict) and "delta" in choice:
        message = {"message": choice["delta"]}
        with pytest.raises(ValueError, match=r"is (no|neither)"):
            language.whole({"choices": [{key: choice[key] for key in choice if key != "delta"} | message]})


def test_a_choice_that_is_nested_deeper_than_can_be_written_again_is_refused() -> None:
    call = {"function": {"name": "f"}, "extra_content": json.loads("[" * 200 + "]" * 200)}
    with pytest.raises(ValueError, match="too deep"):
        whole_choice(message={"tool_calls": [call]})


@pytest.mark.parametrize("answer", [{}, {"choices": None}, {"choices": "x"}, {"choices": [{"index": 0}]}, [], "x"])
def test_what_has_no_choices_is_no_answer(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"no |neither"):
        ChatCompletions(KINDS["other"], CHAT, "ours").whole(answer)


@pytest.mark.parametrize(
    "data", [None, "x", [3], [{"embedding": 3}], [{"embedding": ["x"]}], [{"index": "x", "embedding": [1.0]}]], ids=str
)
def test_vectors_of_an_odd_type_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"no |neither"):
        ChatCompletions(KINDS["other"], WorkerPath.EMBEDDINGS, "ours").whole({"data": data})


def test_what_an_answer_says_of_itself_is_left_out_if_it_has_an_odd_type() -> None:
    told = {"id": 3, "object": ["x"], "created": "now", "choices": []}
    read = ChatCompletions(KINDS["other"], CHAT, "ours").whole(told)
    assert read == {"model": "ours", "choices": [], "usage": None}


ODD_EVENTS: list[Any] = [
    [],
    {"type": "message_start", "message": "x"},
    {"type": "message_start", "message": {"id": 3}},
    {"type": "content_block_start", "index": [], "content_block": {"type": "text"}},
    {"type": "content_block_start", "index": 0, "content_block": "text"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ["x"]}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": 3, "name": "f"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ["x"]}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": 3}},
    {"type": "message_delta", "delta": {"stop_reason": ["end_turn"]}},
]


@pytest.mark.parametrize("event", ODD_EVENTS, ids=str)
def test_an_event_of_anthropics_of_an_odd_type_is_refused(event: Any) -> None:
    with pytest.raises(ValueError, match="is no"):
        Messages(KINDS["anthropic"], CHAT, "ours").reader().read(event)


def test_a_whole_answer_has_the_sites_name_for_the_model() -> None:
    answer = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "theirs-2026", "service": "secret-name",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip
    read = ChatCompletions(KINDS["other"], CHAT, "ours").whole(answer)
    assert (read["model"], "service" in read, read["choices"], read["usage"]) == (
        "ours", False, answer["choices"], answer["usage"],
    )  # fmt: skip


# --- Anthropic --------------------------------------------------------------------------------------------------------


def test_a_conversation_with_tools_and_pictures_becomes_anthropics() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"in": "Rome"}'}}
    again = {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": ""}}
    picture = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PNG}}]
    body = asked(
        "anthropic",
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "developer", "content": [{"type": "text", "text": "Be short."}]},
            {"role": "user", "content": picture},
            {"role": "assistant", "content": "", "tool_calls": [call, again]},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "rain"}]},
            {"role": "user", "content": "Thanks"},
        ],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        stop="END",
        temperature=0.5,
        top_k=3,
        max_completion_tokens=50,
    )
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    assert body == {
        "model": "theirs",
        "system": "Be kind.\n\nBe short.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"in": "Rome"}},
                    {"type": "tool_use", "id": "c2", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "rain"}]},
                    {"type": "text", "text": "Thanks"},
                ],
            },
        ],
        "tools": [
            {"name": "weather", "description": "Tells it.", "input_schema": {"type": "object", "properties": {}}}
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "top_k": 3,
        "max_tokens": 50,
        "stream": False,
    }


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"n": 2}, "n"),
        ({"seed": 1}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [WEATHER], "tool_choice": {"type": "custom"}}, "tool_choice"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"response_format": {"type": "json_schema", "json_schema": "x"}}, "response_format"),
        ({"messages": [{"role": "assistant", "tool_calls": 5}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "Hi", "name": "alice"}]}, "messages[0].name"),
        ({"messages": [{"role": "function", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [HI["messages"][0], {"role": "system", "content": "no"}]}, "messages[1].role"),
        ({"messages": [HI["messages"][0], {"role": "assistant", "content": "Well"}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/a.png"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": "[1]"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)  # fmt: skip
def test_what_anthropic_cannot_honour_is_refused_by_name(options: dict[str, Any], param: str) -> None:
    refused = refusal("anthropic", **options)
    assert refused.param == param
    assert refused.http_status == 400


@pytest.mark.parametrize(
    "arguments",
    ['{"a": NaN}', '{"a": 1e999}', '{"a": ' + "[" * 100_000, '{"a": ' + "[" * 900 + "]" * 900 + "}", 5, ["{}"]],
    ids=lambda value: str(value)[:12],
)
def test_arguments_that_are_no_json_are_refused(arguments: object) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    refused = refusal("anthropic", messages=[{"role": "assistant", "tool_calls": [call]}])
    assert refused.param == "messages[0].tool_calls[0].function.arguments"


def test_arguments_with_half_a_character_can_be_sent() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": r'{"a": "\ud800"}'}}
    messages = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "1"}]
    body = asked("anthropic", messages=messages)
    assert body["messages"][0]["content"][0]["input"] == {"a": "\N{REPLACEMENT CHARACTER}"}


def test_a_schema_and_strict_tools_reach_anthropic() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    strict = {"type": "function", "function": WEATHER["function"] | {"strict": True}}  # type: ignore[operator]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = asked("anthropic", response_format=form, tools=[strict], tool_choice="none", parallel_tool_calls=False)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert (body["tools"][0]["strict"], body["tool_choice"]) == (True, {"type": "none"})
    assert body["max_tokens"] == 4096


def test_a_whole_answer_of_anthropics_is_read() -> None:
    answer = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "theirs", "stop_reason": "tool_use",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"in": "Rome"}},
        ],
        "usage": {
            "input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 20, "output_tokens": 7,
        },
    }  # fmt: skip
    read = Messages(KINDS["anthropic"], CHAT, "ours").whole(answer)
    [choice] = read["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "I look.",
        "reasoning_content": "Hm.",
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"in": "Rome"}'}}
        ],
    }
    assert (choice["finish_reason"], read["model"]) == ("tool_calls", "ours")
    assert read["usage"] == {
        "prompt_tokens": 35,
        "completion_tokens": 7,
        "total_tokens": 42,
        "prompt_tokens_details": {"cached_tokens": 20},
    }


# --- Event streams ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_events_are_the_same_however_the_bytes_are_cut(texts: list[str], end: str, data: st.DataObject) -> None:
    sent = "".join(f": beat{end}{end}event: x{end}data: {text}{end}{end}" for text in texts).encode() + b":\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    parser, read = EventStream(), []
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        read += parser.feed(sent[start:stop])
    assert read == texts


def test_data_of_several_lines_is_joined_and_an_event_without_end_is_refused() -> None:
    assert EventStream().feed(b"data: {\ndata:  }\n\n") == ["{\n }"]
    parser = EventStream()
    with pytest.raises(EventTooLarge):
        for _ in range(100):
            parser.feed(b"data: " + b"x" * (MAX_EVENT_BYTES // 50) + b"\n")


def test_empty_data_lines_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENT_BYTES", 1000)
    parser = EventStream()
    with pytest.raises(EventTooLarge):
        for _ in range(20):
            parser.feed(b"data:\n" * 100)
    parser = EventStream()
    for _ in range(20):
        assert parser.feed(b"data: " + b"x" * 400 + b"\n\n") == ["x" * 400]
