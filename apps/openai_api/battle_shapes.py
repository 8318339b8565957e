"""Battles and votes as programs see them, and what requests about them must say. OpenAI's API has neither."""

import uuid
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.arena.models import Battle, Follows, Verdict, Vote
from apps.arena.models.entries import DEFAULT_SLUG
from apps.arena.pages import ShownBattle, Told
from apps.arena.services.battles import Opening
from apps.arena.verdicts import told_about
from apps.core.errors import NotFound
from apps.openai_api.errors import InvalidRequest
from apps.openai_api.known_fields import ignored
from apps.openai_api.shapes import Json, json_object

BATTLE_MARK = "battle_"
BATTLE_FIELDS = frozenset({"input", "arena", "contestants", "previous_battle", "follows"})
MESSAGE_FIELDS = frozenset({"input"})
VOTE_FIELDS = frozenset({"battle", "verdict"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request for a battle; whose the one before is, is asked later."""

    opening: Opening
    ignored_fields: tuple[str, ...]


def battle_request(data: object) -> Wanted:
    """Raises: InvalidRequest, naming the field; NotFound for an id that is none."""
    body = json_object(data)
    follows = _choice(body, "follows", Follows) if body.get("follows") is not None else None
    previous = battle_id(_text(body, "previous_battle")) if body.get("previous_battle") is not None else None
    if (follows is None) != (previous is None):
        raise InvalidRequest(reason="'follows' and 'previous_battle' go together", param="follows")
    opening = Opening(
        arena=_text(body, "arena") if body.get("arena") is not None else DEFAULT_SLUG,
        text="" if follows is Follows.NEW_OPPONENT else message_text(body),
        choice=_contestants(body),
        previous=previous,
        follows=follows,
    )
    return Wanted(opening, ignored(body, BATTLE_FIELDS))


def message_text(body: Json) -> str:
    """Raises: InvalidRequest."""
    text = _text(body, "input")
    if not text.replace("\0", "").strip():
        raise InvalidRequest(reason="'input' is empty", param="input")
    if len(text) > settings.MESSAGE_MAX_CHARS:
        raise InvalidRequest(reason=f"'input' has more than {settings.MESSAGE_MAX_CHARS} characters", param="input")
    return text


def vote_request(body: Json) -> tuple[UUID, Verdict]:
    """Raises: InvalidRequest, NotFound."""
    verdict = _choice(body, "verdict", Verdict)
    return battle_id(_text(body, "battle")), verdict


def battle_id(text: object) -> UUID:
    """Raises: NotFound."""
    try:
        return uuid.UUID(str(text).removeprefix(BATTLE_MARK))
    except ValueError as exc:
        raise NotFound from exc


def battle_object(battle: Battle, shown: ShownBattle) -> Json:
    return {
        "id": BATTLE_MARK + battle.public_id.hex,
        "object": "battle",
        "created_at": int(battle.created_at.timestamp()),
        "arena": battle.arena.slug,
        "is_anonymous": battle.is_anonymous,
        "status": str(shown.state),
        "turns": [{"input": turn.question, "a": turn.a, "b": turn.b} for turn in shown.turns],
        "contestants": contestants_object(shown.names),
        "vote": None if shown.vote is None else told_about(shown.vote),
        "error": None if shown.failure is None else {"code": shown.failure.code, "message": shown.failure.message},
    }


def vote_object(battle: Battle, vote: Vote, names: tuple[Told, Told] | None) -> Json:
    return {
        "object": "vote",
        "battle": BATTLE_MARK + battle.public_id.hex,
        "created_at": int(vote.created_at.timestamp()),
        **told_about(vote),
        "contestants": contestants_object(names),
    }


def contestants_object(names: tuple[Told, Told] | None) -> Json | None:
    """None as long as they are not to be known."""
    return None if names is None else {"a": asdict(names[0]), "b": asdict(names[1])}


def _contestants(body: Json) -> tuple[UUID, UUID] | None:
    match body.get("contestants"):
        case None:
            return None
        case [str() as a, str() as b]:
            return battle_id(a), battle_id(b)
    raise InvalidRequest(reason="'contestants' must be two ids", param="contestants")


def _text(body: Json, name: str) -> str:
    value: Any = body.get(name)
    if value is None:
        raise InvalidRequest(reason=f"'{name}' is missing", param=name, api_code="missing_required_parameter")
    if not isinstance(value, str):
        raise InvalidRequest(reason=f"'{name}' must be a text", param=name)
    return value


def _choice(body: Json, name: str, known: Any) -> Any:
    value = _text(body, name)
    if value not in known.values:
        raise InvalidRequest(reason=f"'{name}' must be one of {', '.join(known.values)}", param=name)
    return known(value)
