"""One row of a clean-battle file: which fields it must have, and what may be in them.

Source: FastChat 0.2.36, fastchat/serve/monitor/clean_battle_data.py, the rows that `clean_battle_data` writes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from apps.leaderboard.rating.battles import Outcome

NAME_MAX_CHARS = 200
WINNERS = {
    "model_a": Outcome.FIRST,
    "model_b": Outcome.SECOND,
    "tie": Outcome.TIE,
    "tie (bothbad)": Outcome.TIE,
}


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class FieldWrong(Exception):
    """A field is missing or cannot be what it is."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BattleRow:
    """What of a row matters here. `answers` is empty where the file has no conversations."""

    model_a: str
    model_b: str
    outcome: Outcome
    judge: str | None
    question_id: str | None
    is_anonymous: bool
    answers: tuple[str, ...]
    weight: float
    time: float
    """In seconds; 0 where the file does not say."""
    raw: Mapping[str, Any]
    """All of it, for what only some boards ask: style, categories, how frequent the prompt is."""


def row_parse(value: Any) -> BattleRow:
    """Raises: FieldWrong."""
    if not isinstance(value, Mapping):
        raise FieldWrong("row", "is not an object")
    winner = _text(value, "winner")
    if winner not in WINNERS:
        raise FieldWrong("winner", f"is {winner[:40]!r}, not one of {', '.join(WINNERS)}")
    row = BattleRow(
        model_a=_name(value, "model_a"),
        model_b=_name(value, "model_b"),
        outcome=WINNERS[winner],
        judge=_optional_text(value, "judge"),
        question_id=_optional_text(value, "question_id"),
        is_anonymous=_flag(value, "anony"),
        answers=_answers(value, "conversation_a") + _answers(value, "conversation_b"),
        weight=_number(value, "weight", 1.0),
        time=_number(value, "tstamp", 0.0),
        raw=value,
    )
    if row.weight < 0:
        raise FieldWrong("weight", "is negative")
    if row.model_a == row.model_b:
        raise FieldWrong("model_b", "is the same as model_a: a model cannot meet itself")
    return row


def prompts_in(value: Mapping[str, Any]) -> list[str]:
    """What was asked of both sides, of a row that was parsed; nothing where the file has no conversations."""
    turns = value.get("conversation_a") or ()
    return [str(turn.get("content") or "") for turn in turns if turn.get("role") == "user"]


def _text(value: Mapping[str, Any], field: str) -> str:
    if field not in value:
        raise FieldWrong(field, "is missing")
    found = value[field]
    if not isinstance(found, str):
        raise FieldWrong(field, "is not text")
    return found


def _name(value: Mapping[str, Any], field: str) -> str:
    name = _text(value, field)
    if not name.strip():
        raise FieldWrong(field, "is empty")
    if len(name) > NAME_MAX_CHARS:
        raise FieldWrong(field, f"has more than {NAME_MAX_CHARS} characters")
    if _LONE_SURROGATE.search(name):
        raise FieldWrong(field, "is not UTF-8")
    if "\0" in name:
        raise FieldWrong(field, "has a NUL in it")
    return name


def _optional_text(value: Mapping[str, Any], field: str) -> str | None:
    found = value.get(field)
    if found is None:
        return None
    # Releases of the data have numbers here.
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else _text(value, field)


def _flag(value: Mapping[str, Any], field: str) -> bool:
    found = value.get(field, True)
    if not isinstance(found, bool):
        raise FieldWrong(field, "is neither true nor false")
    return found


def _number(value: Mapping[str, Any], field: str, default: float) -> float:
    found = value.get(field, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or abs(found) > 1e15 or not isfinite(found):
        raise FieldWrong(field, "is not a number that can be used")
    return float(found)


def _answers(value: Mapping[str, Any], field: str) -> tuple[str, ...]:
    turns = value.get(field) or ()
    if not isinstance(turns, list | tuple):
        raise FieldWrong(field, "is not a list of messages")
    return tuple(_content(turn, field) for turn in turns if _role(turn, field) == "assistant")


def _role(turn: Any, field: str) -> Any:
    if not isinstance(turn, Mapping):
        raise FieldWrong(field, "has a message that is not an object")
    return turn.get("role")


def _content(turn: Mapping[str, Any], field: str) -> str:
    content = turn.get("content")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise FieldWrong(field, "has an answer that is not text")
    return content
