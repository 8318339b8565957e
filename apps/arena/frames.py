"""The frames of the arena socket (docs/arena_socket.md): incoming ones are checked here, outgoing ones are built here.

Pure: nothing is sent, and no id is believed to belong to anybody. Until the names are told, no frame has anything in it
that belongs to one of the two models but its text.
"""

from dataclasses import asdict, dataclass
from typing import TypeVar
from uuid import UUID

from apps.arena.models import Follows, Verdict
from apps.conversations.outcomes import Failure
from apps.core.errors import BadFrame
from apps.core.frames import (
    FRAME_MAX_BYTES,
    REF_CHARS,
    Frame,
    as_uuid,
    dumped,
    object_read,
    text_of,
    uuid_of,
    uuid_or_none,
)

T = TypeVar("T")

BUCKET_BYTES = 1024
"""Frames of progress are as long as a multiple of it."""


@dataclass(frozen=True, slots=True)
class BattleStart:
    ref: str
    arena: str
    text: str
    choice: tuple[UUID, UUID] | None
    previous: UUID | None
    follows: Follows | None


@dataclass(frozen=True, slots=True)
class BattleSend:
    ref: str
    battle: UUID
    turn: int
    """The last one on the page, which the text goes on from."""
    text: str


@dataclass(frozen=True, slots=True)
class BattleVote:
    ref: str
    battle: UUID
    turn: int
    """The last one on the page."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class BattleReveal:
    ref: str
    battle: UUID


@dataclass(frozen=True, slots=True)
class BattleAttach:
    battle: UUID


@dataclass(frozen=True, slots=True)
class BattleStop:
    battle: UUID


Incoming = BattleStart | BattleSend | BattleVote | BattleReveal | BattleAttach | BattleStop
"""What has a `ref` is answered with it."""


@dataclass(frozen=True, slots=True)
class SideUpdate:
    """What takes a page from what it shows of one side to what may be seen now.

    `restart`: begin anew. Then `blocks` are appended; then either `tail` replaces the text after them, or `text` is
    added to it.
    """

    restart: bool = False
    blocks: tuple[str, ...] = ()
    tail: str | None = None
    text: str = ""


def parse(text: str | None) -> Incoming:
    """None: a frame of bytes. Raises: BadFrame, which says what is wrong without repeating what was sent."""
    values = object_read(text)
    match values.pop("type", None):
        case "battle.start":
            frame: Incoming = BattleStart(
                ref=text_of(values, "ref", REF_CHARS),
                arena=text_of(values, "arena", REF_CHARS),
                text=text_of(values, "text", FRAME_MAX_BYTES),
                choice=_choice(values),
                previous=uuid_or_none(values, "previous"),
                follows=None if values.get("follows") is None else _one_of(values, "follows", Follows),
            )
        case "battle.send":
            frame = BattleSend(
                ref=text_of(values, "ref", REF_CHARS),
                battle=uuid_of(values, "battle"),
                turn=_turn(values),
                text=text_of(values, "text", FRAME_MAX_BYTES),
            )
        case "battle.vote":
            frame = BattleVote(
                ref=text_of(values, "ref", REF_CHARS),
                battle=uuid_of(values, "battle"),
                turn=_turn(values),
                verdict=_one_of(values, "verdict", Verdict),
            )
        case "battle.reveal":
            frame = BattleReveal(text_of(values, "ref", REF_CHARS), uuid_of(values, "battle"))
        case "battle.attach":
            frame = BattleAttach(uuid_of(values, "battle"))
        case "battle.stop":
            frame = BattleStop(uuid_of(values, "battle"))
        case _:
            raise BadFrame(reason="a frame of an unknown type")
    if isinstance(frame, BattleStart) and (frame.previous is None) != (frame.follows is None):
        raise BadFrame(reason="previous and follows, of which one is missing")
    if values.keys() - asdict(frame).keys():
        raise BadFrame(reason="a frame with unknown fields")
    return frame


def accepted(ref: str, *, battle: UUID, url: str, turn: int, html: str, names: tuple[str, str] | None = None) -> Frame:
    """`names`: of A and B, where they are known."""
    return {
        "type": "battle.accepted",
        "ref": ref,
        "battle": str(battle),
        "url": url,
        "turn": turn,
        "html": html,
        "names": names,
    }


def progress(battle: UUID, turn: int, a: SideUpdate, b: SideUpdate) -> Frame:
    """Its JSON, as `dumped`, is a multiple of `BUCKET_BYTES` long."""
    frame = {
        "type": "battle.progress",
        "battle": str(battle),
        "turn": turn,
        "a": asdict(a),
        "b": asdict(b),
        "padding": "",
    }
    return frame | {"padding": " " * (-len(dumped(frame)) % BUCKET_BYTES)}


def turn_ended(battle: UUID, turn: int, failure: Failure | None) -> Frame:
    error = asdict(failure) if failure else None
    return {"type": "battle.turn_ended", "battle": str(battle), "turn": turn, "error": error}


def refused(ref: str, error: Failure) -> Frame:
    return {"type": "battle.refused", "ref": ref, "error": asdict(error)}


def error(failure: Failure) -> Frame:
    return {"type": "error", "error": asdict(failure)}


def _turn(values: Frame) -> int:
    value = values.get("turn")
    if type(value) is not int:
        raise BadFrame(reason="turn that is not a number")
    return value


def _choice(values: Frame) -> tuple[UUID, UUID] | None:
    match values.get("choice"):
        case None:
            return None
        case [a, b]:
            return as_uuid(a, "choice"), as_uuid(b, "choice")
        case _:
            raise BadFrame(reason="choice that is not two ids")


def _one_of(values: Frame, name: str, known: type[T]) -> T:
    try:
        return known(values.get(name))  # type: ignore[call-arg]  # an enumeration looks the value up
    except ValueError as exc:
        raise BadFrame(reason=f"{name} that is not known") from exc
