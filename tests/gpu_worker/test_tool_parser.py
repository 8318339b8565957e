"""Reading tool calls out of text, for each family of models, however the text is cut."""

import json
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_worker.tools.call_reader import Arguments, CallBegins, Content, Piece
from gpu_worker.tools.formats import HERMES, LLAMA3, MISTRAL, PLAIN, ToolFormat, format_of
from gpu_worker.tools.parser import ToolCallParser

NAMES = {"get_weather", "add"}
WEATHER = '{"city": "Ulm {old} \\"town\\"", "days": [1, {"a": 2}]}'


@dataclass(frozen=True)
class Read:
    """What an answer says in the end."""

    content: str
    calls: list[tuple[str, str]]


def joined(pieces: list[Piece]) -> Read:
    content, calls = "", []
    for piece in pieces:
        match piece:
            case Content(text):
                content += text
            case CallBegins(name):
                calls.append((name, ""))
            case Arguments(text):
                calls[-1] = (calls[-1][0], calls[-1][1] + text)
    return Read(content, calls)


def read(tool_format: ToolFormat, chunks: list[str], max_calls: int | None = None) -> Read:
    parser = ToolCallParser(tool_format, NAMES, max_calls=max_calls)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    result = joined(pieces + parser.flush())
    assert parser.n_calls == len(result.calls)
    return result


def call(name: str = "get_weather", arguments: str = WEATHER, key: str = "arguments") -> str:
    return f'{{"name": "{name}", "{key}": {arguments}}}'


ONE = [("get_weather", WEATHER)]
TWO = [("get_weather", WEATHER), ("add", '{"x":1}')]
ADD = call("add", '{"x":1}')

READ: list[tuple[ToolFormat, str, Read]] = [
    (HERMES, "Just text.\n", Read("Just text.\n", [])),
    (HERMES, f"<tool_call>\n{call()}\n</tool_call>", Read("", ONE)),
    (HERMES, f"<tool_call>{call()}</tool_call>", Read("", ONE)),
    (HERMES, f"Let me look.\n<tool_call>\n{call()}\n</tool_call>\n", Read("Let me look.", ONE)),
    (HERMES, f"<tool_call>\n{call()}\n</tool_call>\n<tool_call>\n{ADD}\n</tool_call>", Read("", TWO)),
    (HERMES, f"<tool_call>\n{call()}\n</tool_call> then text", Read(" then text", ONE)),
    (HERMES, f"<tool_call>\n{call()}", Read("", ONE)),
    (HERMES, '<tool_call>{"arguments": {"x":1}, "name": "add"}</tool_call>', Read("", [("add", '{"x": 1}')])),
    (HERMES, '<tool_call>{"name": "add"}</tool_call>', Read("", [("add", "{}")])),
    (HERMES, '<tool_call>{"name": "add", "arguments": "{\\"x\\": 1}"}</tool_call>', Read("", [("add", '{"x": 1}')])),
    (HERMES, '<tool_call>{"name": "add", "arguments": {"x":1}, "id": 3}</tool_call>', Read("", [("add", '{"x":1}')])),
    (HERMES, "a < b and <tool> and <tool_call", Read("a < b and <tool> and <tool_call", [])),
    (LLAMA3, call(key="parameters"), Read("", ONE)),
    (LLAMA3, f"<|python_tag|>{call(key='parameters')}", Read("", ONE)),
    (LLAMA3, f"{call(key='parameters')}; {ADD}", Read("", TWO)),
    (LLAMA3, f"{call(key='parameters')}\n{ADD}", Read("", TWO)),
    (LLAMA3, f"Sure: {call()}", Read(f"Sure: {call()}", [])),
    (LLAMA3, '{"a": 1}', Read('{"a": 1}', [])),
    (LLAMA3, "<|python_tag|>print(1)", Read("<|python_tag|>print(1)", [])),
    (MISTRAL, f"[TOOL_CALLS][{call()}]", Read("", ONE)),
    (MISTRAL, f"[TOOL_CALLS] [{call()}, {ADD}]", Read("", TWO)),
    (MISTRAL, f"Hm. [TOOL_CALLS]{call()}", Read("Hm.", ONE)),
    (MISTRAL, "[TOOL_CALLS][]", Read("[TOOL_CALLS][]", [])),
    (PLAIN, f"{call()}\n{ADD}", Read("", TWO)),
]


@pytest.mark.parametrize(("tool_format", "text", "expected"), READ, ids=lambda value: str(value)[:40])
def test_calls_and_content_are_what_the_model_meant(tool_format: ToolFormat, text: str, expected: Read) -> None:
    assert read(tool_format, [text]) == expected
    assert read(tool_format, list(text)) == expected


VISIBLE = [
    (HERMES, "<tool_call>no object</tool_call>"),
    (HERMES, f"<tool_call>{call('unknown')}</tool_call>"),
    (HERMES, '<tool_call>{"name": "add", "arguments": 3}</tool_call>'),
    (HERMES, '<tool_call>{"name": "add", "arguments": [}]}</tool_call>'),
    (HERMES, '<tool_call>{"name": "add", "argu'),
    (HERMES, "<tool_call>"),
    (LLAMA3, '{"name": "unknown", "parameters": {}}'),
    (MISTRAL, f"[TOOL_CALLS][{call('unknown')}, 5]"),
]


@pytest.mark.parametrize(("tool_format", "text"), VISIBLE, ids=lambda value: str(value)[:40])
def test_what_is_no_well_formed_call_stays_visible_to_the_letter(tool_format: ToolFormat, text: str) -> None:
    assert read(tool_format, [text]) == Read(text, [])


def test_an_answer_cut_off_in_its_arguments_keeps_what_was_written() -> None:
    assert read(HERMES, ['<tool_call>{"name": "add", "arguments": {"x": "ab']) == Read("", [("add", '{"x": "ab')])


def test_rubbish_behind_arguments_is_shown() -> None:
    text = '<tool_call>{"name": "add", "arguments": {} rubbish}</tool_call>'
    assert read(HERMES, [text]) == Read(" rubbish}", [("add", "{}")])


@pytest.mark.parametrize(
    ("tool_format", "text"),
    [
        (HERMES, f"<tool_call>{call()}</tool_call>\n<tool_call>{ADD}</tool_call>"),
        (LLAMA3, f"{call()}; {ADD}"),
        (MISTRAL, f"[TOOL_CALLS][{call()}, {ADD}]"),
    ],
)
def test_beyond_the_most_calls_text_stays_content(tool_format: ToolFormat, text: str) -> None:
    result = read(tool_format, [text], max_calls=1)
    assert result.calls == ONE
    assert ADD in result.content


PARTS = [
    *("<tool_call>", "</tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "<", "<tool", "_call>", "text", " ", "\n"),
    *("[", "]", "{", "}", ",", ";", '"', "\\", call(), ADD, call("unknown"), '{"name": "add", "arguments": {'),
]
FRAGMENTS = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)


@given(
    text=FRAGMENTS,
    cuts=st.lists(st.integers(0, 400), max_size=12),
    tool_format=st.sampled_from([HERMES, LLAMA3, MISTRAL, PLAIN]),
    max_calls=st.sampled_from([None, 1]),
)
def test_cutting_the_text_changes_nothing(
    text: str, cuts: list[int], tool_format: ToolFormat, max_calls: int | None
) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[a:b] for a, b in pairwise(edges)]
    assert read(tool_format, chunks, max_calls) == read(tool_format, [text], max_calls)


@given(text=FRAGMENTS, tool_format=st.sampled_from([HERMES, LLAMA3, MISTRAL, PLAIN]))
def test_no_letter_of_content_is_lost(text: str, tool_format: ToolFormat) -> None:
    """Outside of calls, only markers, separators and whitespace may go."""
    result = read(tool_format, [text])
    shown = result.content + "".join(arguments for _, arguments in result.calls)
    assert shown.count("text") == text.count("text")
    if not result.calls:
        assert result.content == text


@given(
    arguments=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        ),
        max_size=4,
    ),
    tool_format=st.sampled_from([HERMES, LLAMA3, MISTRAL, PLAIN]),
    size=st.integers(1, 7),
)
def test_arguments_arrive_exactly_as_they_were_written(
    arguments: dict[str, object], tool_format: ToolFormat, size: int
) -> None:
    written = json.dumps(arguments, ensure_ascii=False)
    inside = call("add", written, tool_format.arguments_key)
    text = tool_format.opening + (f"[{inside}]" if tool_format.is_list else inside) + tool_format.closing
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    assert read(tool_format, chunks) == Read("", [("add", written)])


QWEN = "{% if tools %}<tools>{{ tools | tojson }}</tools> use <tool_call></tool_call>{% endif %}"
LLAMA = '{% if tools %}Respond in the format {"name": function name, "parameters": dictionary}{% endif %}'


@pytest.mark.parametrize(
    ("template", "tokens", "expected"),
    [
        (QWEN, set(), HERMES),
        (LLAMA, {"<|python_tag|>"}, LLAMA3),
        (LLAMA, set(), None),
        ("{{ tools }}[AVAILABLE_TOOLS] [TOOL_CALLS]", set(), MISTRAL),
        ("{{ tools }}[TOOL_CALLS]name[ARGS]{}", set(), None),
        ("<tool_call><function=name>", set(), None),
        ("{{ tools }}", set(), None),
    ],
)
def test_a_models_format_follows_from_its_template(
    template: str, tokens: set[str], expected: ToolFormat | None
) -> None:
    assert format_of(template, tokens) is expected
