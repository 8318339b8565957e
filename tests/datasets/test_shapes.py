"""Every shape in which the field keeps conversations is told by its fields and read without loss."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.datasets.formats.shapes import RecordWrong, Shape, records_read, shape_of
from apps.datasets.records import Message, Record, Role, dumped, loaded
from tests.datasets.support import roles

CASES: dict[str, tuple[Shape, dict[str, Any], list[tuple[str, list[str]]]]] = {
    "ShareGPT": (
        Shape.SHAREGPT,
        {
            "id": "a",
            "system": "Be brief.",
            "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}],
        },
        [("sua", ["Be brief.", "Hi", "Ho"])],
    ),
    "OpenAI messages": (
        Shape.MESSAGES,
        {
            "messages": [
                {"role": "developer", "content": "X"},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            ]
        },
        [("su", ["X", "Hi"])],
    ),
    "Alpaca": (
        Shape.ALPACA,
        {"instruction": "Add", "input": "1 and 2", "output": "3", "history": [["Hi", "Ho"]]},
        [("uaua", ["Hi", "Ho", "Add\nInput:\n1 and 2", "3"])],
    ),
    "Alpaca without input": (Shape.ALPACA, {"instruction": "Add", "input": "", "output": "3"}, [("ua", ["Add", "3"])]),
    "completion": (Shape.COMPLETION, {"prompt": "Hi", "completion": "Ho"}, [("ua", ["Hi", "Ho"])]),
    "preference": (Shape.PREFERENCE, {"prompt": "Hi", "chosen": "Ho", "rejected": "No"}, [("u", ["Hi"])]),
    "preference of whole chats": (
        Shape.PREFERENCE,
        {
            "chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
            "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "No"}],
        },
        [("u", ["Hi"])],
    ),
    "FastChat's log": (
        Shape.FASTCHAT_LOG,
        {
            "type": "chat",
            "model": "m",
            "state": {
                "conv_id": "k",
                "model_name": "m",
                "roles": ["USER", "ASSISTANT"],
                "system_message": "S",
                "offset": 0,
                "messages": [["USER", "Hi"], ["ASSISTANT", "Ho"], ["USER", "And?"], ["ASSISTANT", None]],
            },
        },
        [("suau", ["S", "Hi", "Ho", "And?"])],
    ),
    "FastChat's vote": (
        Shape.FASTCHAT_LOG,
        {
            "type": "leftvote",
            "states": [
                {"roles": ["Human", "Assistant"], "messages": [["Human", "Hi"], ["Assistant", "A"]]},
                {"roles": ["Human", "Assistant"], "messages": [["Human", "Hi"], ["Assistant", "B"]]},
            ],
        },
        [("ua", ["Hi", "A"]), ("ua", ["Hi", "B"])],
    ),
    "FastChat's battle": (
        Shape.FASTCHAT_BATTLE,
        {
            "question_id": "q",
            "model_a": "m",
            "model_b": "n",
            "winner": "model_a",
            "conversation_a": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A"}],
            "conversation_b": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "B"}],
        },
        [("ua", ["Hi", "A"]), ("ua", ["Hi", "B"])],
    ),
}


@pytest.mark.parametrize(("shape", "value", "expected"), CASES.values(), ids=CASES)
def test_each_shape_is_told_and_read(
    shape: Shape, value: dict[str, Any], expected: list[tuple[str, list[str]]]
) -> None:
    assert shape_of(value) is shape
    found = records_read(shape, value, (0, 7))
    assert [(roles(one), [m.content for m in one.messages]) for one in found] == expected
    assert all(one.source == (0, 7) for one in found)


def test_the_sides_of_a_battle_keep_their_models_and_the_winner() -> None:
    _, value, _ = CASES["FastChat's battle"]
    a, b = records_read(Shape.FASTCHAT_BATTLE, value, (0, 0))
    assert (a.id, a.model, b.id, b.model) == ("q_a", "m", "q_b", "n")
    assert a.fields["winner"] == "model_a"


def test_a_preference_keeps_both_answers() -> None:
    _, value, _ = CASES["preference of whole chats"]
    (found,) = records_read(Shape.PREFERENCE, value, (0, 0))
    assert found.chosen == [Message(Role.ASSISTANT, "Ho")]
    assert found.rejected == [Message(Role.ASSISTANT, "No")]


def test_what_a_record_has_besides_is_kept() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    value = {
        "id": 3,
        "tstamp": 1.5,
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": calls}],
    }
    (found,) = records_read(Shape.MESSAGES, value, (0, 0))
    assert (found.id, found.fields) == ("3", {"tstamp": 1.5})
    assert found.messages[1] == Message(Role.ASSISTANT, "", {"tool_calls": calls})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"conversations": "Hi"}, "conversations: found 'Hi', expected a list of messages"),
        ({"conversations": ["Hi"]}, "conversations[0]: found 'Hi', expected an object"),
        ({"conversations": [{"from": 1, "value": "Hi"}]}, "conversations[0].from: found 1"),
        ({"conversations": [{"from": "human", "value": 4}]}, "conversations[0].value: found 4, expected a text"),
        ({"conversations": [], "id": {}}, "id: found {}, expected a text or a number"),
        ({"conversations": [], "system": 5}, "system: found 5"),
        ({"conversations": [], "n": [2**64]}, "number: found 18446744073709551616, expected one of 64 bits"),
    ],
)
def test_a_wrong_field_is_named_with_what_to_do(value: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordWrong) as caught:
        records_read(Shape.SHAREGPT, value, (0, 0))
    assert says in str(caught.value)
    assert caught.value.fix


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "user", "messages"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "from", "roles"]), inner),
    max_leaves=6,
)
NAMES = sorted({name for _, value, _ in CASES.values() for name in value})
STATES = st.dictionaries(st.sampled_from(["messages", "roles", "offset", "system", "conv_id", "model_name"]), PARTS)


@pytest.mark.parametrize("shape", Shape)
@given(value=st.dictionaries(st.sampled_from(NAMES), PARTS | STATES | st.lists(STATES, max_size=2)))
def test_a_record_that_lacks_a_field_or_has_another_thing_there_is_refused_and_never_a_crash(
    shape: Shape, value: dict[str, Any]
) -> None:
    try:
        found = records_read(shape, value, (0, 0))
    except RecordWrong:
        return
    assert found
    assert all(isinstance(message.content, str) for record in found for message in record.all_messages())


@pytest.mark.parametrize("n_states", [0, 3])
def test_a_log_of_no_state_or_more_than_two_is_refused_and_not_left_out(n_states: int) -> None:
    state = {"messages": [["USER", "Hi"], ["ASSISTANT", "Ho"]], "roles": ["USER", "ASSISTANT"]}
    with pytest.raises(RecordWrong, match=f"states: found {n_states}, expected one state or two"):
        records_read(Shape.FASTCHAT_LOG, {"type": "vote", "states": [state] * n_states}, (0, 0))


def test_a_part_of_a_message_without_its_text_is_no_text() -> None:
    said = [{"role": "user", "content": [{"type": "text", "text": None}]}]
    with pytest.raises(RecordWrong, match="content: found"):
        records_read(Shape.MESSAGES, {"messages": said}, (0, 0))


def test_a_model_that_is_no_name_stays_as_it_came() -> None:
    (found,) = records_read(Shape.COMPLETION, {"prompt": "Hi", "completion": "Ho", "model": {"of": 2}}, (0, 0))
    assert (found.model, found.fields) == ("", {"model": {"of": 2}})


def test_a_record_without_an_id_is_named_by_its_place() -> None:
    (found,) = records_read(Shape.COMPLETION, {"prompt": "Hi", "completion": "Ho"}, (2, 9))
    assert found.id == "2-9"


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"text": "Hi"}, {"prompt": "Hi"}])
def test_nothing_is_taken_for_a_shape_that_it_is_not(value: object) -> None:
    assert shape_of(value) is None


def test_nul_bytes_and_halves_of_pairs_do_not_get_in() -> None:
    (found,) = records_read(Shape.COMPLETION, {"prompt": "a\0b", "completion": "c\ud800"}, (0, 0))
    assert [m.content for m in found.messages] == ["ab", "c\N{REPLACEMENT CHARACTER}"]


def test_a_record_is_the_same_after_a_file() -> None:
    record = Record(
        "a",
        [Message(Role.USER, "Hi\n\u2028", {"name": "x"})],
        model="m",
        source=(1, 2),
        steps=["s"],
        fields={"f": [1, None]},
        chosen=[Message(Role.ASSISTANT, "A")],
        rejected=[Message(Role.ASSISTANT, "B")],
    )
    line = dumped(record)
    assert b"\n" not in line
    assert loaded(line) == record
