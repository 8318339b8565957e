"""Lines of FastChat's logs (`2024-08-14-conv.json`) as rows of a clean-battle file. Pure.

A log has a line for each answer and each click; those of votes become rows, and the rules see to the rest as in any
file. What it says of a voter is an address on the network: it becomes `judge`, which no board repeats.

Source: FastChat 0.2.36, fastchat/serve/gradio_block_arena_anony.py (`vote_last_response`) and
fastchat/serve/monitor/clean_battle_data.py (`get_log_files`, `clean_battle_data`). Its names for old versions of models
are of its own site's history, and are left as they were logged.
"""

import re
from collections.abc import Mapping
from typing import Any

from apps.leaderboard.battle_files.rows import NAME_MAX_CHARS, FieldWrong

_WINNERS = {
    "leftvote": "model_a",
    "rightvote": "model_b",
    "tievote": "tie",
    "bothbad_vote": "tie (bothbad)",
}
_SIDES = "ab"
_HEADING = re.compile(r"^(?:<h3>|#{1,6} )?\s*Model [AB](?:: (.*?))?(?:</h3>)?\s*$", re.DOTALL)
"""How the page shows a name after the vote; before, it is blank."""
_SHOWN_MAX_CHARS = NAME_MAX_CHARS + 40
"""With what is around a name. The pattern takes long for a long one."""


def is_log_line(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("type"), str) and "winner" not in value


def is_vote(line: Mapping[str, Any]) -> bool:
    """Or something else that somebody did: asked, shared, flagged, liked one answer."""
    return line["type"] in _WINNERS


def battle_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """Of a line that is a vote. Raises: FieldWrong."""
    shown, states = _shown(line), _states(line)
    hidden = [state.get("model_name") for state in states]
    is_anonymous = shown[0] == ""
    if is_anonymous != (shown[1] == ""):
        raise FieldWrong("models", "are told for one side only")
    names = [own or told for own, told in zip(hidden, shown, strict=True)]
    if not is_anonymous and names != shown:
        raise FieldWrong("models", "are others than those of the states")
    talks = [_talk(state) for state in states]
    row: dict[str, Any] = {"winner": _WINNERS[line["type"]], "anony": is_anonymous, "turn": (len(talks[0]) + 1) // 2}
    for side, name, talk in zip(_SIDES, names, talks, strict=True):
        row |= {f"model_{side}": name, f"conversation_{side}": talk}
    return row | _known(question_id=states[0].get("conv_id"), judge=line.get("ip"), tstamp=line.get("tstamp"))


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _shown(line: Mapping[str, Any]) -> list[str]:
    """The names that the voter saw, blank for none."""
    models = line.get("models")
    if not isinstance(models, list) or len(models) != 2 or not all(isinstance(name, str) for name in models):
        raise FieldWrong("models", "are not two names")
    if any(len(name) > _SHOWN_MAX_CHARS for name in models):
        raise FieldWrong("models", "are longer than names may be")
    return [_HEADING.sub(r"\1", name).strip() for name in models]


def _states(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    states = line.get("states")
    if not isinstance(states, list) or len(states) != 2 or not all(isinstance(state, Mapping) for state in states):
        raise FieldWrong("states", "are not two objects")
    return states


def _talk(state: Mapping[str, Any]) -> list[dict[str, str]]:
    """Its messages in turn, the user's first, without those that came with the template."""
    messages, offset = state.get("messages"), state.get("offset", 0)
    if not isinstance(messages, list) or not isinstance(offset, int) or not 0 <= offset < len(messages):
        raise FieldWrong("states", "have no messages")
    return [
        {"role": "assistant" if number % 2 else "user", "content": _text(message)}
        for number, message in enumerate(messages[offset:])
    ]


def _text(message: Any) -> str:
    """Of [role, text]. A message with images is [role, [text, images]]; one that failed has null."""
    said = message[1] if isinstance(message, list) and len(message) == 2 else message
    said = said[0] if isinstance(said, list) and said else said
    if said is None:
        return ""
    if not isinstance(said, str):
        raise FieldWrong("states", "have a message that is not text")
    return said
