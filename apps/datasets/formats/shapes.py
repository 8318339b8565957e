"""The shapes in which the field keeps conversations: told apart by their fields, and read one record at a time. Pure.

What a record has beyond its shape stays in `fields`. Nothing is mended here: an unknown role stays as it is, for the
step that looks at roles.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import orjson

from apps.core.texts import clean_json
from apps.datasets.records import Message, Record, Role

Value = Mapping[str, Any]


class Shape(StrEnum):
    SHAREGPT = "sharegpt"
    MESSAGES = "messages"
    ALPACA = "alpaca"
    COMPLETION = "completion"
    PREFERENCE = "preference"
    FASTCHAT_LOG = "fastchat-log"
    FASTCHAT_BATTLE = "fastchat-battle"


class RecordWrong(ValueError):
    """A record that is not of its shape: which field, what was found, what was expected, and what to do."""

    def __init__(self, field: str, found: object, expected: str, fix: str) -> None:
        super().__init__(f"{field}: found {_shown(found)}, expected {expected}; {fix}")
        self.field, self.found, self.expected, self.fix = field, _shown(found), expected, fix


ROLES = {
    "human": Role.USER,
    "user": Role.USER,
    "prompter": Role.USER,
    "gpt": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "bing": Role.ASSISTANT,
    "bard": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "tool": Role.TOOL,
    "function": Role.TOOL,
    "observation": Role.TOOL,
}
"""What speakers are called in the wild."""

_MARKS: tuple[tuple[Shape, tuple[str, ...]], ...] = (
    # The more particular first: a preference pair may have a prompt of messages besides.
    (Shape.PREFERENCE, ("chosen", "rejected")),
    (Shape.FASTCHAT_BATTLE, ("conversation_a", "conversation_b")),
    (Shape.SHAREGPT, ("conversations",)),
    (Shape.MESSAGES, ("messages",)),
    (Shape.MESSAGES, ("conversation",)),
    (Shape.FASTCHAT_LOG, ("type", "state")),
    (Shape.FASTCHAT_LOG, ("type", "states")),
    (Shape.ALPACA, ("instruction", "output")),
    (Shape.COMPLETION, ("prompt", "completion")),
)


def shape_of(value: object) -> Shape | None:
    """None: of no shape that is known here."""
    if isinstance(value, Mapping):
        for shape, marks in _MARKS:
            if all(mark in value for mark in marks):
                return shape
    return None


def records_read(shape: Shape, value: object, source: tuple[int, int]) -> list[Record]:
    """The conversations of one record of a file: a battle holds two, all others one.

    Raises: RecordWrong.
    """
    if not isinstance(value, Mapping):
        raise RecordWrong("record", value, "an object", "write each conversation as a JSON object")
    is_plain = _is_plain(value)
    cleaned: Value = value if is_plain else clean_json(value)
    found = cleaned.get("id", cleaned.get("conversation_id", cleaned.get("question_id")))
    if found is not None and not isinstance(found, str | int):
        raise RecordWrong("id", found, "a text or a number", "give each record an id of its own, or none")
    own_id = f"{source[0]}-{source[1]}" if found is None or found == "" else str(found)
    records = _READERS[shape](cleaned, own_id)
    for record in records:
        record.source = source
        if not is_plain:
            _check_numbers([record.fields, *(message.extra for message in record.all_messages())])
    return records


def _is_plain(value: Value) -> bool:
    """Whether there is nothing to clean in it, and no number of over 64 bits: what orjson writes, and without NUL.

    Its look at a record takes a twentieth of the time that Python takes to go through it.
    """
    try:
        return b"\\u0000" not in orjson.dumps(value)
    except TypeError:
        return False


def _check_numbers(value: object) -> None:
    """What is kept as it came must come out as it is, and 64 bits are all that JSON's readers agree on."""
    match value:
        case dict():
            for field in value.values():
                _check_numbers(field)
        case list():
            for item in value:
                _check_numbers(item)
        case int() if not -(2**63) <= value < 2**64:
            raise RecordWrong("number", value, "one of 64 bits", "write it as a text")


# --- One reader for each shape ----------------------------------------------------------------------------------------


def _sharegpt(value: Value, own_id: str) -> list[Record]:
    messages = [
        _message(turn, f"conversations[{number}]", role="from", content="value")
        for number, turn in enumerate(_list(value, "conversations"))
    ]
    return [_record(value, own_id, _with_system(value, messages), "conversations", "system")]


def _messages(value: Value, own_id: str) -> list[Record]:
    name = "messages" if "messages" in value or "conversation" not in value else "conversation"
    messages = _turns(_list(value, name), name)
    return [_record(value, own_id, _with_system(value, messages), name, "system")]


def _alpaca(value: Value, own_id: str) -> list[Record]:
    messages = []
    for number, pair in enumerate(_list(value, "history", optional=True)):
        if not isinstance(pair, list) or len(pair) != 2:
            raise RecordWrong(f"history[{number}]", pair, "a question and an answer", "write [question, answer]")
        asked, answered = (_as_text(part, f"history[{number}]") for part in pair)
        messages += [Message(Role.USER, asked), Message(Role.ASSISTANT, answered)]
    question, given = _text(value, "instruction"), _text(value, "input", optional=True)
    # As FastChat's convert_alpaca joins them.
    asked = f"{question}\nInput:\n{given}" if len(given.strip()) > 1 else question
    messages += [Message(Role.USER, asked), Message(Role.ASSISTANT, _text(value, "output"))]
    messages = _with_system(value, messages)
    return [_record(value, own_id, messages, "instruction", "input", "output", "history", "system")]


def _completion(value: Value, own_id: str) -> list[Record]:
    asked, answered = value.get("prompt"), value.get("completion")
    if isinstance(asked, list) or isinstance(answered, list):
        messages = _said(asked, "prompt", Role.USER) + _said(answered, "completion", Role.ASSISTANT)
    else:
        messages = [Message(Role.USER, _text(value, "prompt")), Message(Role.ASSISTANT, _text(value, "completion"))]
    return [_record(value, own_id, _with_system(value, messages), "prompt", "completion", "system")]


def _preference(value: Value, own_id: str) -> list[Record]:
    prompt = _said(value.get("prompt", []), "prompt", Role.USER)
    chosen = _said(value.get("chosen"), "chosen", Role.ASSISTANT)
    rejected = _said(value.get("rejected"), "rejected", Role.ASSISTANT)
    if not prompt:
        # Both hold the whole conversation: what they have in common is the prompt.
        while chosen and rejected and chosen[0] == rejected[0] and len(chosen) > 1 and len(rejected) > 1:
            prompt.append(chosen.pop(0))
            rejected.pop(0)
    if not prompt or not chosen or not rejected:
        raise RecordWrong("prompt", value.get("prompt"), "what both answers answer", "give 'prompt', or whole chats")
    record = _record(value, own_id, _with_system(value, prompt), "prompt", "chosen", "rejected", "system")
    record.chosen, record.rejected = chosen, rejected
    return [record]


def _fastchat_log(value: Value, own_id: str) -> list[Record]:
    states = [value["state"]] if "state" in value else value.get("states")
    if not isinstance(states, list) or not all(isinstance(state, Mapping) for state in states):
        raise RecordWrong("states", states, "a list of states", "keep the log as FastChat wrote it")
    if len(states) not in (1, 2):
        raise RecordWrong("states", len(states), "one state or two", "keep the log as FastChat wrote it")
    records = []
    for side, state in zip("ab", states, strict=False):
        records += _fastchat_state(value, state, own_id if len(states) == 1 else f"{own_id}_{side}")
    return records


def _fastchat_state(value: Value, state: Value, own_id: str) -> list[Record]:
    pairs, names, offset = state.get("messages"), state.get("roles") or [], state.get("offset") or 0
    if not isinstance(pairs, list) or not all(_is_said(pair) for pair in pairs):
        raise RecordWrong("state.messages", pairs, "a list of [role, text]", "keep the log as FastChat wrote it")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordWrong("state.roles", names, "a list of two names", "keep the log as FastChat wrote it")
    if not isinstance(offset, int) or offset < 0:
        raise RecordWrong("state.offset", offset, "a number from 0", "keep the log as FastChat wrote it")
    roles = dict(zip(names, (Role.USER, Role.ASSISTANT), strict=False))
    messages = [
        Message(str(roles.get(role, ROLES.get(role.lower(), role))), _as_text(text, "state.messages"))
        for role, text in pairs[offset:]
        if text is not None  # the answer that had not come yet
    ]
    system = state.get("system_message") or state.get("system") or ""
    if system and isinstance(system, str):
        messages.insert(0, Message(Role.SYSTEM, system))
    record = _record(value, str(state.get("conv_id") or own_id), messages, "state", "states")
    record.model = str(state.get("model_name") or record.model)
    return [record]


def _is_said(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)


def _fastchat_battle(value: Value, own_id: str) -> list[Record]:
    records = []
    for side in "ab":
        name = f"conversation_{side}"
        record = _record(
            value, f"{own_id}_{side}", _turns(_list(value, name), name), "conversation_a", "conversation_b"
        )
        record.model = str(value.get(f"model_{side}") or "")
        records.append(record)
    return records


_READERS: dict[Shape, Callable[[Value, str], list[Record]]] = {
    Shape.SHAREGPT: _sharegpt,
    Shape.MESSAGES: _messages,
    Shape.ALPACA: _alpaca,
    Shape.COMPLETION: _completion,
    Shape.PREFERENCE: _preference,
    Shape.FASTCHAT_LOG: _fastchat_log,
    Shape.FASTCHAT_BATTLE: _fastchat_battle,
}


# --- Fields -----------------------------------------------------------------------------------------------------------


def _record(value: Value, own_id: str, messages: list[Message], *read: str) -> Record:
    model = value.get("model")
    known = {*read, "id", "model"} if isinstance(model, str) else {*read, "id"}
    fields = {name: field for name, field in value.items() if name not in known}
    return Record(own_id, messages, model if isinstance(model, str) else "", fields=fields)


def _turns(turns: list[Any], where: str) -> list[Message]:
    return [_message(turn, f"{where}[{n}]", role="role", content="content") for n, turn in enumerate(turns)]


def _message(turn: object, where: str, *, role: str, content: str) -> Message:
    if not isinstance(turn, Mapping):
        raise RecordWrong(where, turn, f"an object with {role!r} and {content!r}", "write each message as one")
    speaker = turn.get(role)
    if not isinstance(speaker, str):
        raise RecordWrong(f"{where}.{role}", speaker, "who speaks, a text", f"give each message a {role!r}")
    extra = {name: field for name, field in turn.items() if name not in (role, content)}
    text = turn.get(content)
    if text is None and extra:
        text = ""  # a message of nothing but tool calls
    return Message(str(ROLES.get(speaker, speaker)), _as_text(text, f"{where}.{content}"), extra)


def _said(value: object, where: str, role: Role) -> list[Message]:
    if isinstance(value, str):
        return [Message(role, value)]
    if isinstance(value, list):
        return _turns(value, where)
    raise RecordWrong(where, value, "a text or a list of messages", "write the text itself, or its messages")


def _with_system(value: Value, messages: list[Message]) -> list[Message]:
    system = value.get("system")
    if system is None or system == "":
        return messages
    return [Message(Role.SYSTEM, _as_text(system, "system")), *messages]


def _list(value: Value, name: str, *, optional: bool = False) -> list[Any]:
    found = value.get(name)
    if optional and found is None:
        return []
    if not isinstance(found, list):
        raise RecordWrong(name, found, "a list of messages", "write the messages in a JSON list")
    return found


def _text(value: Value, name: str, *, optional: bool = False) -> str:
    found = value.get(name)
    return "" if optional and found is None else _as_text(found, name)


def _as_text(value: object, where: str) -> str:
    if isinstance(value, list) and all(_is_text_part(part) for part in value):
        value = "\n".join(part["text"] for part in value)  # OpenAI's parts of a message
    if not isinstance(value, str):
        raise RecordWrong(where, value, "a text", "write it as a JSON string")
    return value


def _is_text_part(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
