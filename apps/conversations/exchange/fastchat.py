"""FastChat's logs: a JSON line for each answer and each vote, with the whole conversation so far. Pure.

Source: FastChat, `fastchat/serve/gradio_web_server.py` (`add_text`, `bot_response`, `vote_last_response`) and
`fastchat/conversation.py` (`Conversation.dict`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from apps.conversations.errors import ImportRefused
from apps.conversations.exchange.drafts import Draft, DraftMessage, list_of, name_of, object_of, prompt_of, time_of
from apps.core.texts import clean_text

Json = dict[str, Any]


def is_fastchat(line: object) -> bool:
    return isinstance(line, dict) and ("state" in line or "states" in line)


def read(lines: Iterable[object]) -> Iterator[Draft]:
    """One chat for each conversation: the last line about it has all that was said. Raises: ImportRefused."""
    latest: dict[str, tuple[Json, Json]] = {}
    for number, line in enumerate(lines):
        entry = object_of(line, "a line")
        for place, state in enumerate(_states(entry)):
            key = state.get("conv_id")
            # Without an id each line is a conversation of its own.
            latest[key if isinstance(key, str) else f"line {number} {place}"] = (entry, state)
    for entry, state in latest.values():
        yield _chat(entry, state)


def _states(entry: Json) -> list[Json]:
    states = [entry["state"]] if "state" in entry else list_of(entry.get("states") or [], "'states' of a line")
    return [object_of(state, "a state") for state in states]


def _chat(entry: Json, state: Json) -> Draft:
    draft = Draft(
        title="", created_at=time_of(entry.get("tstamp")), system_prompt=prompt_of(state.get("system_message"))
    )
    names = [str(name) for name in list_of(state.get("roles") or ["USER", "ASSISTANT"], "'roles' of a state")]
    offset = state.get("offset")
    messages = list_of(state.get("messages"), "'messages' of a state")
    above = None
    # What comes before the offset are examples of the template, which nobody said.
    for item in messages[offset if isinstance(offset, int) and offset > 0 else 0 :]:
        role, text = _message(item, names)
        if not text.strip():
            draft.n_left_out += item[1] is not None  # an answer that was not written is no loss
            continue
        above = draft.add(
            DraftMessage(above, role, text, name_of(state.get("model_name")) if role == "assistant" else "")
        )
    return draft


def _message(item: object, names: list[str]) -> tuple[str, str]:
    match item:
        case [str() as name, content] if name in names[:2]:
            role = "user" if name == names[0] else "assistant"
        case _:
            raise ImportRefused(reason="a message of a state is not a pair of a known role and a text")
    match content:
        case str() as text:
            return role, clean_text(text)
        case [str() as text, *_]:  # with images, which the log does not hold
            return role, clean_text(text)
        case _:
            return role, ""
