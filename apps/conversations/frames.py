"""The frames of the chat socket (docs/chat_socket.md): incoming ones are checked here, outgoing ones are built here.

Pure: nothing is sent, and no id is believed to belong to anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.conversations.chat_settings import NAMES
from apps.conversations.hints import Hint
from apps.conversations.outcomes import Failure, Outcome
from apps.conversations.selectors.tree import Siblings
from apps.core.errors import BadFrame
from apps.core.frames import FRAME_MAX_BYTES, REF_CHARS, Frame, as_uuid, object_read, text_of, uuid_of, uuid_or_none
from apps.workers.fairness import Place

_MODEL_CHARS = 200
_LIST_MAX = 10


@dataclass(frozen=True, slots=True)
class TurnSend:
    ref: str
    conversation: UUID | None
    model: str
    text: str
    settings: dict[str, str] | None
    """Of a chat that begins with this: the texts of the form; see `chat_settings`."""
    leaf: UUID | None
    """The last message that the page shows, to which this is said; None: whichever the site shows."""


@dataclass(frozen=True, slots=True)
class TurnBeside:
    ref: str
    conversation: UUID | None
    models: tuple[str, ...]
    text: str
    settings: dict[str, str] | None
    leaf: UUID | None
    leaves: tuple[UUID, ...] | None
    """The ends of the columns that the page shows, in the order of the models; None: there are none yet."""


@dataclass(frozen=True, slots=True)
class TurnEdit:
    ref: str
    conversation: UUID
    message: UUID
    model: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnRegenerate:
    ref: str
    conversation: UUID
    model: str | None
    message: UUID | None


@dataclass(frozen=True, slots=True)
class TurnContinue:
    ref: str
    conversation: UUID
    message: UUID | None
    """The answer to go on with; None: the last of the shown path."""


@dataclass(frozen=True, slots=True)
class TurnStop:
    generation: UUID


@dataclass(frozen=True, slots=True)
class GenerationAttach:
    generation: UUID


@dataclass(frozen=True, slots=True)
class ConversationLook:
    conversation: UUID


TurnAlone = TurnSend | TurnEdit | TurnRegenerate | TurnContinue
"""What one model answers."""

TurnAsked = TurnAlone | TurnBeside
"""What `turn.accepted`, `turn.accepted_beside` or `turn.refused` answers."""

Incoming = TurnAsked | TurnStop | GenerationAttach | ConversationLook


def parse(text: str | None) -> Incoming:
    """None: a frame of bytes. Raises: BadFrame, which says what is wrong without repeating what was sent."""
    values = object_read(text)
    match values.get("type"):
        case "turn.send":
            _only({"settings": None, "leaf": None} | values, "ref", "conversation", "model", "text", "settings", "leaf")
            return TurnSend(
                ref=text_of(values, "ref", REF_CHARS),
                conversation=None if values["conversation"] is None else uuid_of(values, "conversation"),
                model=text_of(values, "model", _MODEL_CHARS),
                text=text_of(values, "text", FRAME_MAX_BYTES),
                settings=_texts(values.get("settings"), NAMES),
                leaf=uuid_or_none(values, "leaf"),
            )
        case "turn.beside":
            names = "ref", "conversation", "models", "text", "settings", "leaf", "leaves"
            _only({"settings": None, "leaf": None, "leaves": None} | values, *names)
            return TurnBeside(
                ref=text_of(values, "ref", REF_CHARS),
                conversation=uuid_or_none(values, "conversation"),
                models=tuple(text_of({"models": name}, "models", _MODEL_CHARS) for name in _list(values, "models")),
                text=text_of(values, "text", FRAME_MAX_BYTES),
                settings=_texts(values.get("settings"), NAMES),
                leaf=uuid_or_none(values, "leaf"),
                leaves=None if values.get("leaves") is None else _uuids(values, "leaves"),
            )
        case "turn.edit":
            _only(values, "ref", "conversation", "message", "model", "text")
            return TurnEdit(
                ref=text_of(values, "ref", REF_CHARS),
                conversation=uuid_of(values, "conversation"),
                message=uuid_of(values, "message"),
                model=text_of(values, "model", _MODEL_CHARS),
                text=text_of(values, "text", FRAME_MAX_BYTES),
            )
        case "turn.regenerate":
            # Without the last field it is the last answer.
            _only({"message": None} | values, "ref", "conversation", "model", "message")
            return TurnRegenerate(
                ref=text_of(values, "ref", REF_CHARS),
                conversation=uuid_of(values, "conversation"),
                model=None if values["model"] is None else text_of(values, "model", _MODEL_CHARS),
                message=uuid_or_none(values, "message"),
            )
        case "turn.continue":
            _only({"message": None} | values, "ref", "conversation", "message")
            return TurnContinue(
                ref=text_of(values, "ref", REF_CHARS),
                conversation=uuid_of(values, "conversation"),
                message=uuid_or_none(values, "message"),
            )
        case "turn.stop":
            _only(values, "generation")
            return TurnStop(uuid_of(values, "generation"))
        case "generation.attach":
            _only(values, "generation")
            return GenerationAttach(uuid_of(values, "generation"))
        case "conversation.look":
            _only(values, "conversation")
            return ConversationLook(uuid_of(values, "conversation"))
        case _:
            raise BadFrame(reason="a frame of an unknown type")


def siblings(place: Siblings) -> Frame:
    return {
        "index": place.index,
        "count": place.count,
        "previous": place.previous and str(place.previous),
        "next": place.next and str(place.next),
    }


def changed(hint: Hint) -> Frame:
    return {
        "type": "conversation.changed",
        "conversation": str(hint.conversation),
        "title": hint.title,
        "leaf": hint.leaf and str(hint.leaf),
        "columns": [str(column) for column in hint.columns],
    }


def snapshot(generation: UUID, state: str, blocks: Sequence[str], tail: str) -> Frame:
    return {
        "type": "generation.snapshot",
        "generation": str(generation),
        "state": state,
        "blocks": list(blocks),
        "tail": tail,
    }


def queued(generation: UUID, place: Place | None) -> Frame:
    """None: it waits no longer."""
    return {
        "type": "generation.queued",
        "generation": str(generation),
        "place": place and place.number,
        "eta_s": place and place.eta_s,
    }


def delta(generation: UUID, text: str) -> Frame:
    return {"type": "generation.delta", "generation": str(generation), "text": text}


def finished_blocks(generation: UUID, blocks: Sequence[str], tail: str) -> Frame:
    return {"type": "generation.blocks", "generation": str(generation), "blocks": list(blocks), "tail": tail}


def end(generation: UUID, outcome: Outcome) -> Frame:
    has_usage = outcome.prompt_tokens is not None and outcome.completion_tokens is not None
    usage = {"prompt_tokens": outcome.prompt_tokens, "completion_tokens": outcome.completion_tokens}
    return {
        "type": "generation.end",
        "generation": str(generation),
        "state": str(outcome.state),
        "finish_reason": outcome.finish_reason or None,
        "usage": usage if has_usage else None,
        "tokens_per_s": outcome.tokens_per_s,
        "error": failure(outcome.error) if outcome.error else None,
    }


def failure(error: Failure) -> Frame:
    return {"code": error.code, "message": error.message, "retryable": error.retryable}


def refused(ref: str, error: Failure) -> Frame:
    return {"type": "turn.refused", "ref": ref, "error": failure(error)}


def error(error: Failure) -> Frame:
    return {"type": "error", "error": failure(error)}


def _only(values: Frame, *fields: str) -> None:
    expected = {"type", *fields}
    if missing := expected - values.keys():
        raise BadFrame(reason=f"{values['type']} without {', '.join(sorted(missing))}")
    if len(values) > len(expected):
        raise BadFrame(reason=f"{values['type']} with unknown fields")


def _list(values: Frame, name: str) -> list[object]:
    value = values.get(name)
    if not isinstance(value, list) or len(value) > _LIST_MAX:
        raise BadFrame(reason=f"{name} that is not a list of at most {_LIST_MAX}")
    return value


def _uuids(values: Frame, name: str) -> tuple[UUID, ...]:
    return tuple(as_uuid(value, name) for value in _list(values, name))


def _texts(value: object, names: frozenset[str]) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not value.keys() <= names:
        raise BadFrame(reason="settings that are no object of known fields")
    return {name: text_of(value, name, FRAME_MAX_BYTES) for name in value}
